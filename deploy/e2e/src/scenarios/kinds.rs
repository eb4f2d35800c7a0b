//! A kind that is not there, comes, and goes; and watches that are told 410 Gone. None of it needs a restart.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use gavel_proto::v1::{AdmitReason, SourceState};
use serde_json::{Value, json};

use super::census;
use super::meanwhile::answers_while;
use crate::kit::{
    ControlPlane, GavelServer, Mode, NumberedPolicy, Proxy, Scenario, admission, install_crd, objects, path,
    resource_version, wait,
};

const SOON: Duration = Duration::from_secs(60);
const SOURCE: &str = "cluster/PodSecurityPolicy";
const POLICIES: &str = "/apis/policy.gavel.dev/v1/podsecuritypolicies";
const CRD: &str = "podsecuritypolicies.policy.gavel.dev";
const WATCH: &str = "--watch-seconds=5";

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let mut plane = scenario.bare_plane().await?;
    let proxy = Proxy::start(plane.address).await?;
    let kubeconfig = plane.kubeconfig(proxy.address)?;
    let streams = GavelServer::start(&scenario.folder, &kubeconfig, &[WATCH]).await?;
    let pages =
        GavelServer::start(&scenario.folder, &kubeconfig, &[WATCH, "--streaming-lists=false"]).await?;
    let servers = [&streams, &pages];
    let mut instances = Vec::new();
    for server in servers {
        is_absent(server, scenario.name).await?;
        instances.push(server.snapshot().await?.instance);
    }

    install_crd(&plane).await?;
    until_state(&servers, SourceState::Synced).await?;
    let policy = NumberedPolicy::create(&plane, scenario.name, 1).await?;
    until_number(&servers, &policy, 1).await?;

    is_gone(&mut plane, &proxy, &servers, &policy).await?;

    plane.kubectl.run(&["delete", "customresourcedefinition", CRD]).await?;
    for server in servers {
        is_absent(server, scenario.name).await?;
    }

    // And once more. The grants are still there; the policy went with its kind.
    install_crd(&plane).await?;
    until_state(&servers, SourceState::Synced).await?;
    write_anew(&plane, &policy, 7).await?;
    until_number(&servers, &policy, 7).await?;
    for (server, instance) in servers.into_iter().zip(instances) {
        ensure!(server.snapshot().await?.instance == instance, "a server was restarted meanwhile");
    }
    Ok(())
}

/// Without the kind there are no policies, and so nothing is admitted. That is no failure, and no lack of readiness.
async fn is_absent(server: &GavelServer, namespace: &str) -> anyhow::Result<()> {
    until_state(&[server], SourceState::Absent).await?;
    let detail = server.source(SOURCE).await?.detail;
    ensure!(detail == "the API server does not have this kind", "{detail}");
    ensure!(!server.snapshot().await?.objects.contains_key("PodSecurityPolicy"), "policies without a kind");
    let answer = server.admit(admission(&objects::pod(namespace, "nobody", json!({})))).await?;
    ensure!(!answer.allowed && answer.reason() == AdmitReason::NoPolicies, "{answer:?}");
    Ok(())
}

async fn until_state(servers: &[&GavelServer], state: SourceState) -> anyhow::Result<()> {
    for server in servers {
        let states = async || Ok(server.source(SOURCE).await?.state());
        wait::until_is(&format!("the source is {state:?}"), SOON, states, |now| *now == state).await?;
        let readiness = server.readiness().await?;
        ensure!(readiness.status == 200, "not ready: {}", readiness.body);
    }
    Ok(())
}

async fn until_number(servers: &[&GavelServer], policy: &NumberedPolicy, number: u32) -> anyhow::Result<()> {
    for server in servers {
        let ask = async || Ok(policy.ask(server).await?.0);
        wait::until_is(&format!("policy {number} decides"), SOON, ask, |decided_by| *decided_by == number)
            .await?;
    }
    Ok(())
}

/// The policy's kind is there again, and the policy is to be. The API server may go on refusing for a moment what it has
/// just deleted the kind of.
async fn write_anew(plane: &ControlPlane, policy: &NumberedPolicy, number: u32) -> anyhow::Result<()> {
    let name = policy.path();
    let name = name.rsplit('/').next().unwrap_or_default();
    let spec = json!({"fsGroup": {"rule": "MustRunAs", "ranges": [{"min": number, "max": number}]}});
    let create = async || Ok(plane.rest.try_create(&objects::policy(name, spec.clone())).await??);
    wait::until_is("policies can be written again", SOON, create, |_| true).await?;
    Ok(())
}

/// etcd has forgotten the time before, and so has an API server that was restarted: watches from then are 410 Gone.
/// Everything is listed anew, and what went meanwhile is gone.
async fn is_gone(
    plane: &mut ControlPlane,
    proxy: &Proxy,
    servers: &[&GavelServer],
    policy: &NumberedPolicy,
) -> anyhow::Result<()> {
    let doomed = plane.rest.create(&objects::policy("kinds-doomed", json!({"hostPID": true}))).await?;
    for server in servers {
        server.holds_object("PodSecurityPolicy", &doomed).await?;
        ensure!(census::breakages(server, "expired").await? == 0.0, "410 Gone before its time");
    }
    let [first, ..] = servers else { anyhow::bail!("no servers") };
    let held = first.source(SOURCE).await?.resource_version;
    proxy.set(Mode::Cut);
    let forget = async {
        let written = policy.set(plane, 2).await?;
        plane.rest.delete(&path(&doomed)).await?;
        plane.compact(resource_version(&written)?.parse()?).await?;
        plane.kill_api_server()?;
        plane.start_api_server().await?;
        until_forgotten(plane, &held).await?;
        proxy.set(Mode::Pass);
        until_number(servers, policy, 2).await
    };
    let ((), answers) = answers_while(policy, first, forget).await?;
    ensure!(answers.numbers == [1] || answers.numbers == [1, 2], "decided by {:?}", answers.numbers);
    println!("kinds: 410 Gone: {answers}");

    for server in servers {
        ensure!(expired(server).await? > 0.0, "no metric counts that the watch was told 410 Gone");
        census::until_all(server, SourceState::Synced).await?;
        census::until_agreed(plane, server).await?;
        let number = policy.ask(server).await?.0 + 1;
        let written = policy.set(plane, number).await?;
        ensure!(policy.ask_after(server, &written).await? == number, "not watched on after 410 Gone");
    }
    Ok(())
}

/// Waits until the API server says 410 to whoever wants to watch from there: as the status of the request, or as the
/// first event.
async fn until_forgotten(plane: &ControlPlane, since: &str) -> anyhow::Result<()> {
    let path = format!("{POLICIES}?watch=true&timeoutSeconds=1&resourceVersion={since}");
    let code = async || {
        Ok(match plane.rest.ask(http::Method::GET, &path, None).await? {
            Err(refusal) => Value::from(refusal.code),
            Ok(event) => event["object"]["code"].clone(),
        })
    };
    wait::until_is("the API server has forgotten", SOON, code, |code| *code == 410)
        .await
        .context("410 Gone")?;
    Ok(())
}

/// How often the watch of policies was told 410 Gone.
async fn expired(server: &GavelServer) -> anyhow::Result<f64> {
    let breakages = server.metric("gavel_watch_breakages_total").await?;
    let of_policies = r#"{kind="PodSecurityPolicy",reason="expired"}"#;
    let found = breakages.iter().find(|(line, _)| line.ends_with(of_policies));
    Ok(found.with_context(|| format!("no counter {of_policies} in {breakages:?}"))?.1)
}
