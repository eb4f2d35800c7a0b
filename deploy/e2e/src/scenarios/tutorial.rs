//! The PodSecurityPolicy tutorial, whole, with kubectl: its manifests as they are, but for the group of the policy,
//! which is Gavel's own since Kubernetes has none any more.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use gavel_proto::v1::AdmitReason;
use serde_json::{Value, json};

use crate::kit::{
    ControlPlane, GavelServer, Scenario, Webhook, WebhookFlags, admission_after, in_repository, objects,
    wait, webhook_name,
};

/// The tutorial names no namespace, and binds a service account of this one.
const NAMESPACE: &str = "default";
const SOON: Duration = Duration::from_secs(60);
const POLICIES: &str = "client/cli/demo/pod-security/policies.yaml";
const NONROOT: &str = "client/cli/demo/pod-security/nonroot-deploy.yaml";
const BINDING: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/nonroot-clusterrole-bindings";
const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/nonroot-clusterrole";
const POLICY: &str = "/apis/policy.gavel.dev/v1/podsecuritypolicies/nonroot-psp";
const ROOT: &str = "client/cli/demo/pod-security/root-deploy.yaml";

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let plane = scenario.shared_plane_as_it_is().await?;
    objects::let_stranger_edit(plane, NAMESPACE).await?;
    let server = GavelServer::start(&scenario.folder, &plane.kubeconfig(plane.address)?, &[]).await?;
    let webhook = Webhook::start(&scenario.folder, &[&server], WebhookFlags::default()).await?;
    webhook.validates(plane, NAMESPACE).await?;

    let policies = read(POLICIES)?.replace("extensions/v1beta1", "policy.gavel.dev/v1");
    plane.kubectl.apply(&policies).await?;
    all_is_known(plane, &server).await?;

    validating_only(plane).await?;
    webhook.mutates(plane, NAMESPACE).await?;
    mutating_too(plane).await?;
    as_the_original_has_it(plane, &server, &policies).await?;
    changes_take_effect(plane, &server).await
}

/// What names no user is refused: nobody may fill in runAsNonRoot.
async fn validating_only(plane: &ControlPlane) -> anyhow::Result<()> {
    plane.kubectl.apply(&read(NONROOT)?).await?;
    plane.kubectl.apply(&read(ROOT)?).await?;
    until_pods(plane, "nonroot", 3).await?;
    let message = until_refused(plane, "root").await?;
    let described = plane.kubectl.run(&["describe", "rs", "-l", "app=root"]).await?;
    for part in [
        "FailedCreate",
        &webhook_name(NAMESPACE, "validate"),
        "nonroot-psp",
        "spec.containers[0].securityContext.runAsNonRoot",
    ] {
        ensure!(described.contains(part), "kubectl describe rs does not say {part}:\n{described}");
    }
    ensure!(message.contains("PodSecurityPolicy: unable to validate pod"), "{message}");
    ensure!(pods(plane, "root").await?.is_empty(), "root-deploy has pods");
    delete(plane, &["nonroot-deploy", "root-deploy"]).await
}

/// What names no user gets runAsNonRoot, and is admitted.
async fn mutating_too(plane: &ControlPlane) -> anyhow::Result<()> {
    plane.kubectl.apply(&read(ROOT)?).await?;
    for pod in until_pods(plane, "root", 3).await? {
        let of_container = &pod["spec"]["containers"][0]["securityContext"]["runAsNonRoot"];
        ensure!(*of_container == json!(true), "runAsNonRoot is {of_container}");
        let chosen = &pod["metadata"]["annotations"]["kubernetes.io/psp"];
        ensure!(*chosen == json!("nonroot-psp"), "kubernetes.io/psp is {chosen}");
    }
    delete(plane, &["root-deploy"]).await
}

/// The original text binds `sa-nonroot`, which does not exist. Then corrected, it works again.
async fn as_the_original_has_it(
    plane: &ControlPlane,
    server: &GavelServer,
    policies: &str,
) -> anyhow::Result<()> {
    plane.rest.merge(BINDING, &subject("sa-nonroot")).await?;
    all_is_known(plane, server).await?;

    plane.kubectl.apply(&read(NONROOT)?).await?;
    let message = until_refused(plane, "nonroot").await?;
    ensure!(
        message.contains("sa-nonroot"),
        "the message does not name the missing service account: {message}"
    );
    ensure!(message.contains("PodSecurityPolicy: unable to admit pod: []"), "{message}");
    ensure!(pods(plane, "nonroot").await?.is_empty(), "nonroot-deploy has pods");
    delete(plane, &["nonroot-deploy"]).await?;

    plane.kubectl.apply(policies).await?;
    all_is_known(plane, server).await?;
    plane.kubectl.apply(&read(NONROOT)?).await?;
    until_pods(plane, "nonroot", 3).await?;
    delete(plane, &["nonroot-deploy"]).await
}

fn subject(name: &str) -> Value {
    json!({"subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}]})
}

/// Policy, grant and binding, changed and changed back: each first admission that asks for the write knows of it.
async fn changes_take_effect(plane: &ControlPlane, server: &GavelServer) -> anyhow::Result<()> {
    let rule = |policy: &str| {
        json!({"rules": [{
            "apiGroups": ["policy"], "resources": ["podsecuritypolicies"],
            "resourceNames": [policy], "verbs": ["use"],
        }]})
    };
    let range = json!({"spec": {"fsGroup": {"rule": "MustRunAs", "ranges": [{"min": 1, "max": 2}]}}});
    let any = json!({"spec": {"fsGroup": {"rule": "RunAsAny", "ranges": null}}});
    let unusable = AdmitReason::NoUsablePolicy;
    let changes = [
        ("ClusterRoleBinding", BINDING, subject("sa-nonroot"), unusable, subject("nonroot-sa")),
        ("ClusterRole", ROLE, rule("another-psp"), unusable, rule("nonroot-psp")),
        ("PodSecurityPolicy", POLICY, range, AdmitReason::Violations, any),
    ];
    // As nonroot-deploy's pods are.
    let spec = json!({
        "serviceAccountName": "nonroot-sa", "securityContext": {"runAsUser": 1001, "fsGroup": 2001},
    });
    let pod = objects::pod(NAMESPACE, "asked", spec);
    for round in 0..10 {
        for (kind, path, change, reason, back) in &changes {
            for (change, reason) in [(change, *reason), (back, AdmitReason::Allowed)] {
                let written = plane.rest.merge(path, change).await?;
                let answer = server.admit(admission_after(&pod, kind, &written)?).await?;
                ensure!(answer.reason() == reason, "round {round}, {path} now {change}: {answer:?}");
            }
        }
    }
    Ok(())
}

fn read(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(in_repository(path)).with_context(|| format!("cannot read {path}"))
}

/// Waits until the server knows the tutorial's objects as they are now.
async fn all_is_known(plane: &ControlPlane, server: &GavelServer) -> anyhow::Result<()> {
    let service_account = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/nonroot-sa");
    for (kind, path) in [
        ("PodSecurityPolicy", POLICY),
        ("ServiceAccount", &service_account),
        ("ClusterRole", ROLE),
        ("ClusterRoleBinding", BINDING),
    ] {
        server.holds_object(kind, &plane.rest.get(path).await?).await?;
    }
    Ok(())
}

async fn pods(plane: &ControlPlane, app: &str) -> anyhow::Result<Vec<Value>> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app%3D{app}");
    Ok(plane.rest.get(&path).await?["items"].as_array().cloned().unwrap_or_default())
}

async fn until_pods(plane: &ControlPlane, app: &str, count: usize) -> anyhow::Result<Vec<Value>> {
    let what = format!("{app} has {count} pods");
    wait::until_is(&what, SOON, async || pods(plane, app).await, |pods| pods.len() == count).await
}

/// Waits until the ReplicaSet says that it cannot create pods, and tells its words.
async fn until_refused(plane: &ControlPlane, app: &str) -> anyhow::Result<String> {
    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/replicasets?labelSelector=app%3D{app}");
    wait::until(&format!("{app}'s pods are refused"), SOON, async || {
        let sets = plane.rest.get(&path).await?;
        let conditions = sets["items"][0]["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let failure = conditions.iter().find(|condition| condition["type"] == "ReplicaFailure");
        Ok(failure.and_then(|failure| failure["message"].as_str()).map(str::to_owned))
    })
    .await
}

async fn delete(plane: &ControlPlane, deployments: &[&str]) -> anyhow::Result<()> {
    for deployment in deployments {
        plane.kubectl.run(&["delete", "deployment", deployment, "--cascade=foreground"]).await?;
    }
    Ok(())
}
