//! What is shipped in deploy/kubernetes: an API server takes it, and its service accounts may do what they need, and
//! nothing else.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use gavel_proto::v1::SourceState;
use serde_json::Value;

use crate::kit::{
    self, ControlPlane, GavelServer, NumberedPolicy, Scenario, in_repository, objects, program, wait,
};

const NAMESPACE: &str = "gavel-system";
const SERVER: &str = "system:serviceaccount:gavel-system:gavel-server";
const CERTIFICATES: &str = "system:serviceaccount:gavel-system:gavel-certificates";
const WEBHOOK: &str = "system:serviceaccount:gavel-system:gavel-webhook";

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let plane = scenario.own_plane().await?;
    apply(&plane).await?;
    access(&plane).await?;
    serve(&plane, scenario).await?;
    certificate(&plane).await?;
    with_cert_manager(&plane, scenario).await
}

/// The other kustomization, in place of the first.
async fn with_cert_manager(plane: &ControlPlane, scenario: &Scenario) -> anyhow::Result<()> {
    let folder = in_repository("deploy/kubernetes/cert-manager");
    let rendered = plane.kubectl.run(&["kustomize", &folder.to_string_lossy()]).await?;
    ensure!(rendered.contains("--tls-cert=/run/gavel/tls/tls.crt"), "the webhook has no certificate");
    for part in ["--self-issued", "--webhook-configuration", "kind: CronJob", "resources:\n  - secrets"] {
        ensure!(!rendered.contains(part), "{part} is of no use with cert-manager");
    }
    println!(
        "deploy: cert-manager: {}",
        kit::apply(plane, &scenario.folder, "cert-manager", &rendered).await?
    );
    Ok(())
}

/// A dry run first, as somebody careful does; it needs the namespace, since what is in it cannot be checked without.
async fn apply(plane: &ControlPlane) -> anyhow::Result<()> {
    let folder = in_repository("deploy/kubernetes");
    let folder = folder.to_string_lossy();
    plane.kubectl.run(&["create", "namespace", NAMESPACE]).await?;
    let dry = ["apply", "--server-side", "--dry-run=server", "-k", &folder];
    let dry = plane.kubectl.run(&dry).await?;
    ensure!(dry.lines().count() > 10 && dry.lines().all(|line| line.contains("server dry run")), "{dry}");
    let real = plane.kubectl.run(&["apply", "--server-side", "-k", &folder]).await?;
    ensure!(real.lines().count() == dry.lines().count(), "{real}\nis not what the dry run said:\n{dry}");
    // No node runs here: what is asked for is there, and its pods wait for one.
    for deployment in ["gavel-server", "gavel-webhook"] {
        let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{deployment}");
        let wanted = plane.rest.get(&path).await?["spec"]["replicas"].as_u64().context("no replicas")?;
        let created = async || Ok(plane.rest.get(&path).await?["status"]["replicas"].as_u64());
        let soon = Duration::from_secs(60);
        wait::until_is("its pods pass admission", soon, created, |created| *created == Some(wanted)).await?;
    }
    Ok(())
}

/// Least privilege: what is needed is allowed, and what is not is not.
async fn access(plane: &ControlPlane) -> anyhow::Result<()> {
    let allowed = [
        (SERVER, "list", "pods", None),
        (SERVER, "watch", "podsecuritypolicies.policy.gavel.dev", None),
        (SERVER, "watch", "clusterrolebindings.rbac.authorization.k8s.io", None),
        (SERVER, "watch", "networkpolicies.networking.k8s.io", None),
        (SERVER, "create", "tokenreviews.authentication.k8s.io", None),
        (CERTIFICATES, "update", "secrets/gavel-server-tls", Some(NAMESPACE)),
        (WEBHOOK, "get", "secrets/gavel-webhook-tls", Some(NAMESPACE)),
        (WEBHOOK, "patch", "validatingwebhookconfigurations.admissionregistration.k8s.io/gavel", None),
    ];
    let refused = [
        (SERVER, "get", "secrets", None),
        (SERVER, "list", "secrets", Some(NAMESPACE)),
        (SERVER, "list", "configmaps", None),
        (SERVER, "create", "pods", None),
        (SERVER, "delete", "pods", None),
        (SERVER, "update", "podsecuritypolicies.policy.gavel.dev", None),
        (SERVER, "use", "podsecuritypolicies.policy.gavel.dev", None),
        (SERVER, "create", "clusterrolebindings.rbac.authorization.k8s.io", None),
        (SERVER, "impersonate", "users", None),
        (CERTIFICATES, "get", "secrets/gavel-webhook-tls", Some(NAMESPACE)),
        (WEBHOOK, "get", "secrets/gavel-server-tls", Some(NAMESPACE)),
        (WEBHOOK, "get", "secrets", None),
        (WEBHOOK, "list", "secrets", Some(NAMESPACE)),
        (WEBHOOK, "get", "secrets/another", Some(NAMESPACE)),
        (WEBHOOK, "list", "pods", None),
        (WEBHOOK, "patch", "validatingwebhookconfigurations.admissionregistration.k8s.io/another", None),
        (WEBHOOK, "delete", "validatingwebhookconfigurations.admissionregistration.k8s.io/gavel", None),
    ];
    for (questions, expected) in [(&allowed[..], "yes"), (&refused[..], "no")] {
        for (user, verb, resource, namespace) in questions {
            let scope = match namespace {
                Some(namespace) => format!("--namespace={namespace}"),
                None => "--all-namespaces".to_owned(),
            };
            let arguments = ["auth", "can-i", verb, resource, "--as", user, &scope];
            let answer = plane.kubectl.try_run(&arguments, "").await?;
            let words = answer.stdout.trim();
            ensure!(words == expected, "{user} {verb} {resource} {scope}: {words}, not {expected}");
        }
    }
    // Rights of Gavel's own.
    for (verb, resource, expected) in [
        ("create", "admitrequests.gavel.dev", true),
        ("create", "flowchecks.gavel.dev", false),
        ("get", "snapshots.gavel.dev", false),
    ] {
        let may = objects::may(plane, WEBHOOK, verb, resource).await?;
        ensure!(may == expected, "{WEBHOOK} {verb} {resource}: {may}");
    }
    Ok(())
}

async fn token(plane: &ControlPlane, account: &str) -> anyhow::Result<String> {
    let token = plane.kubectl.run(&["create", "token", account, "--namespace", NAMESPACE]).await?;
    Ok(token.trim().to_owned())
}

/// The rights are enough: a server that has no others follows the cluster.
async fn serve(plane: &ControlPlane, scenario: &Scenario) -> anyhow::Result<()> {
    let token = token(plane, "gavel-server").await?;
    let kubeconfig = plane.kubeconfig_of(plane.address, &token)?;
    let server = GavelServer::start(&scenario.folder, &kubeconfig, &[]).await?;
    let sources = server.snapshot().await?.sources;
    ensure!(sources.len() >= 8, "only {} sources", sources.len());
    for source in &sources {
        ensure!(source.state() == SourceState::Synced, "{source:?}");
    }
    let policy = NumberedPolicy::create(plane, scenario.name, 1).await?;
    let written = policy.set(plane, 2).await?;
    ensure!(policy.ask_after(&server, &written).await? == 2, "not decided by the policy as written");
    Ok(())
}

/// The webhook's service account issues the certificate, and fills in the configurations' caBundle.
async fn certificate(plane: &ControlPlane) -> anyhow::Result<()> {
    let token = token(plane, "gavel-webhook").await?;
    let output = Command::new(program("gavel-webhook")?)
        .args(["issue-certificate", "--secret", "gavel-system/gavel-webhook-tls"])
        .args(["--dns-name", "gavel-webhook.gavel-system.svc", "--webhook-configuration", "gavel"])
        .arg("--kubeconfig")
        .arg(plane.kubeconfig_of(plane.address, &token)?)
        .output()?;
    ensure!(output.status.success(), "issue-certificate: {}", String::from_utf8_lossy(&output.stderr));
    let secret = plane.rest.get(&format!("/api/v1/namespaces/{NAMESPACE}/secrets/gavel-webhook-tls")).await?;
    let authority = secret["data"]["ca.crt"].as_str().context("the Secret has no ca.crt")?;
    ensure!(secret["type"] == "kubernetes.io/tls", "{}", secret["type"]);
    for kind in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{kind}/gavel");
        let configuration: Value = plane.rest.get(&path).await?;
        let webhooks = configuration["webhooks"].as_array().context("no webhooks")?;
        ensure!(!webhooks.is_empty(), "{kind} gavel has no webhooks");
        for webhook in webhooks {
            let bundle = webhook["clientConfig"]["caBundle"].as_str();
            ensure!(bundle == Some(authority), "caBundle of {} is {bundle:?}", webhook["name"]);
        }
    }
    Ok(())
}
