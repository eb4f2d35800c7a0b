//! The API server is killed and started again; etcd is restarted. Gavel goes on answering, says how old its answers
//! are, and catches up.

use std::time::Duration;

use anyhow::ensure;
use gavel_proto::v1::SourceState;

use crate::kit::{GavelServer, NumberedPolicy, Scenario, seconds, wait};

const SOON: Duration = Duration::from_secs(60);
const SOURCE: &str = "cluster/PodSecurityPolicy";

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let mut plane = scenario.own_plane().await?;
    let policy = NumberedPolicy::create(&plane, scenario.name, 1).await?;
    let server = GavelServer::start(&scenario.folder, &plane.kubeconfig(plane.address)?, &[]).await?;
    ensure!(policy.ask(&server).await?.0 == 1, "not decided by the policy as written");
    let instance = server.snapshot().await?.instance;

    plane.kill_api_server()?;
    still_answers(&server, &policy, 1).await?;
    server
        .until_readiness("readiness tells of the broken watch", SOON, |ready| {
            ready.body.contains(&format!("source {SOURCE} failing"))
        })
        .await?;
    let readiness = server.readiness().await?;
    ensure!(readiness.status == 200, "readiness was given up at once: {}", readiness.body);
    let up = server.metric("gavel_source_up").await?;
    let down = up.iter().any(|(name, value)| name.contains(SOURCE) && *value == 0.0);
    ensure!(down, "no metric tells of the broken watch: {up:?}");

    plane.start_api_server().await?;
    let written = policy.set(&plane, 2).await?;
    ensure!(policy.ask_after(&server, &written).await? == 2, "not caught up after the API server's restart");
    is_current_again(&server).await?;

    plane.restart_etcd().await?;
    ensure!(policy.ask(&server).await?.0 == 2, "the policy is lost after etcd's restart");
    let written = policy.set(&plane, 3).await?;
    ensure!(policy.ask_after(&server, &written).await? == 3, "not caught up after etcd's restart");
    is_current_again(&server).await?;
    ensure!(server.snapshot().await?.instance == instance, "the server was restarted meanwhile");
    Ok(())
}

/// Answers come, by the policy that was known last, and are older each time.
async fn still_answers(server: &GavelServer, policy: &NumberedPolicy, number: u32) -> anyhow::Result<()> {
    let age = async || {
        let (decided_by, answer) = policy.ask(server).await?;
        ensure!(decided_by == number, "decided by {decided_by}, not by {number}");
        Ok(seconds(answer.staleness.as_ref()))
    };
    // An idle watch is heard from every 10 seconds; this is longer than that.
    let old = |age: &Option<f64>| age.is_some_and(|age| age > 12.0);
    wait::until_is("answers tell how old they are", SOON, age, old).await?;
    Ok(())
}

async fn is_current_again(server: &GavelServer) -> anyhow::Result<()> {
    let state = async || Ok(server.source(SOURCE).await?.state());
    wait::until_is("the source is well again", SOON, state, |state| *state == SourceState::Synced).await?;
    let age = async || Ok(seconds(server.snapshot().await?.staleness.as_ref()));
    let young = |age: &Option<f64>| age.is_some_and(|age| age < 11.0);
    wait::until_is("all kinds are current again", SOON, age, young).await?;
    Ok(())
}
