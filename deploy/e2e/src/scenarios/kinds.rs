//! A kind that is not there, comes, and goes; and a watch that is told 410 Gone. None of it needs a restart.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use gavel_proto::v1::{AdmitReason, SourceState};
use serde_json::{Value, json};

use crate::kit::{
    ControlPlane, GavelServer, Mode, NumberedPolicy, Proxy, Scenario, admission, install_crd, objects, wait,
};

const SOON: Duration = Duration::from_secs(60);
const SOURCE: &str = "cluster/PodSecurityPolicy";
const POLICIES: &str = "/apis/policy.gavel.dev/v1/podsecuritypolicies";

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let mut plane = scenario.bare_plane().await?;
    let proxy = Proxy::start(plane.address).await?;
    let server = GavelServer::start(&scenario.folder, &plane.kubeconfig(proxy.address)?, &[]).await?;
    let instance = server.snapshot().await?.instance;

    until_state(&server, SourceState::Absent).await?;
    refuses_all(&server, scenario.name).await?;

    install_crd(&plane).await?;
    until_state(&server, SourceState::Synced).await?;
    let policy = NumberedPolicy::create(&plane, scenario.name, 1).await?;
    until_number(&server, &policy, 1).await?;

    gone(&mut plane, &proxy, &server, &policy).await?;

    let crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/podsecuritypolicies.policy.gavel.dev";
    plane.rest.delete(crd).await?;
    until_state(&server, SourceState::Absent).await?;
    refuses_all(&server, scenario.name).await?;

    // And once more, with a policy of another number.
    install_crd(&plane).await?;
    let spec = json!({"fsGroup": {"rule": "MustRunAs", "ranges": [{"min": 7, "max": 7}]}});
    let again = async || {
        let name = format!("{}-numbered", scenario.name);
        // The API server may go on refusing for a moment what it has just deleted the kind of.
        plane.rest.try_create(&objects::policy(&name, spec.clone())).await
    };
    wait::until_is("policies can be written again", SOON, again, Result::is_ok)
        .await?
        .map_err(anyhow::Error::from)?;
    until_number(&server, &policy, 7).await?;
    ensure!(server.snapshot().await?.instance == instance, "the server was restarted meanwhile");
    Ok(())
}

async fn until_state(server: &GavelServer, state: SourceState) -> anyhow::Result<()> {
    let states = async || Ok(server.source(SOURCE).await?.state());
    wait::until_is(&format!("the source is {state:?}"), SOON, states, |now| *now == state).await?;
    let readiness = server.readiness().await?;
    ensure!(readiness.status == 200, "not ready: {}", readiness.body);
    Ok(())
}

async fn until_number(server: &GavelServer, policy: &NumberedPolicy, number: u32) -> anyhow::Result<()> {
    let ask = async || Ok(policy.ask(server).await?.0);
    wait::until_is(&format!("policy {number} decides"), SOON, ask, |decided_by| *decided_by == number)
        .await?;
    Ok(())
}

async fn refuses_all(server: &GavelServer, namespace: &str) -> anyhow::Result<()> {
    let answer = server.admit(admission(&objects::pod(namespace, "nobody", json!({})))).await?;
    ensure!(!answer.allowed && answer.reason() == AdmitReason::NoPolicies, "{answer:?}");
    Ok(())
}

/// An API server that was restarted knows nothing of the time before: a watch from then is 410 Gone.
async fn gone(
    plane: &mut ControlPlane,
    proxy: &Proxy,
    server: &GavelServer,
    policy: &NumberedPolicy,
) -> anyhow::Result<()> {
    let held = server.source(SOURCE).await?.resource_version;
    proxy.set(Mode::Cut);
    policy.set(plane, 2).await?;
    plane.kill_api_server()?;
    plane.start_api_server().await?;
    let is_gone = async || {
        let watch = format!("{POLICIES}?watch=true&timeoutSeconds=1&resourceVersion={held}");
        let event = plane.rest.ask(http::Method::GET, &watch, None).await?;
        // Told as a status of the request, or as the first event of the watch.
        Ok(match event {
            Err(refusal) => refusal.code == 410,
            Ok(event) => event.pointer("/object/code") == Some(&Value::from(410)),
        })
    };
    wait::until_is("the API server has forgotten", SOON, is_gone, |gone| *gone).await.context("410 Gone")?;

    proxy.set(Mode::Pass);
    until_number(server, policy, 2).await?;
    let written = policy.set(plane, 3).await?;
    ensure!(policy.ask_after(server, &written).await? == 3, "not watched on after 410 Gone");
    let breakages = server.metric("gavel_watch_breakages_total").await?;
    let told = breakages.iter().any(|(name, count)| name.contains("gone") && *count > 0.0);
    ensure!(told, "no watch of the server was told 410 Gone: {breakages:?}");
    Ok(())
}
