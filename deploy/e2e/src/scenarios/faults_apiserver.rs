//! The API server is killed and started again; etcd is restarted. Gavel answers every question meanwhile, says how old
//! its answers are, and catches up.

use std::time::Duration;

use anyhow::{bail, ensure};
use gavel_proto::v1::SourceState;
use serde_json::{Value, json};

use super::census::{self, KINDS};
use super::meanwhile::{answers_while, nothing_fresh, until_fresh, until_older};
use crate::kit::{ControlPlane, GavelServer, NumberedPolicy, Scenario, objects, path, wait};

const SOON: Duration = Duration::from_secs(60);
/// With watches of five seconds, a server that hears from its API server gives no answer as old as this: a watch that is
/// silent for ten seconds has stalled.
const FLAGS: [&str; 1] = ["--watch-seconds=5"];
const OLD: f64 = 12.0;

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let mut plane = scenario.own_plane().await?;
    let policy = NumberedPolicy::create(&plane, scenario.name, 1).await?;
    let doomed = plane.rest.create(&objects::pod(scenario.name, "doomed", json!({}))).await?;
    let server = GavelServer::start(&scenario.folder, &plane.kubeconfig(plane.address)?, &FLAGS).await?;
    server.holds_object("Pod", &doomed).await?;
    let instance = server.snapshot().await?.instance;

    plane.kill_api_server()?;
    let ((), answers) = answers_while(&policy, &server, goes_on_alone(&policy, &server)).await?;
    ensure!(answers.numbers == [1], "decided by {:?}, while nothing could change", answers.numbers);
    println!("faults-apiserver: the API server killed: {answers}");

    let start = async {
        plane.start_api_server().await?;
        plane.rest.delete(&format!("{}?gracePeriodSeconds=0", path(&doomed))).await?;
        policy.set(&plane, 2).await
    };
    let (written, _) = answers_while(&policy, &server, start).await?;
    ensure!(policy.ask_after(&server, &written).await? == 2, "not caught up after the API server's restart");
    is_current_again(&plane, &server, &policy).await?;

    let ((), answers) = answers_while(&policy, &server, plane.restart_etcd()).await?;
    ensure!(answers.numbers == [2], "decided by {:?}, while nothing changed", answers.numbers);
    println!("faults-apiserver: etcd restarted: {answers}");
    let written = until_set(&plane, &policy, 3).await?;
    ensure!(policy.ask_after(&server, &written).await? == 3, "not caught up after etcd's restart");
    is_current_again(&plane, &server, &policy).await?;
    ensure!(server.snapshot().await?.instance == instance, "the server was restarted meanwhile");
    Ok(())
}

/// Without an API server: it is told everywhere, and readiness is not given up for it.
async fn goes_on_alone(policy: &NumberedPolicy, server: &GavelServer) -> anyhow::Result<()> {
    census::until_all(server, SourceState::Failing).await?;
    until_older(policy, server, OLD).await?;
    nothing_fresh(policy, server, Duration::from_secs(5)).await?;

    let readiness = server.readiness().await?;
    ensure!(readiness.status == 200, "readiness was given up at once: {}", readiness.body);
    for (kind, _) in KINDS {
        let line = format!("[-] source cluster/{kind} failing, answering from the last good state: ");
        ensure!(readiness.body.contains(&line), "/readyz does not say `{line}`: {}", readiness.body);
    }
    let up = server.metric("gavel_source_up").await?;
    ensure!(up.len() == KINDS.len() && up.iter().all(|(_, up)| *up == 0.0), "no source is up, but: {up:?}");
    let age = server.metric("gavel_snapshot_staleness_seconds").await?;
    let [(_, age)] = age.as_slice() else { bail!("not one gavel_snapshot_staleness_seconds: {age:?}") };
    ensure!(*age > OLD, "gavel_snapshot_staleness_seconds is {age}");
    Ok(())
}

async fn is_current_again(
    plane: &ControlPlane,
    server: &GavelServer,
    policy: &NumberedPolicy,
) -> anyhow::Result<()> {
    census::until_all(server, SourceState::Synced).await?;
    census::until_agreed(plane, server).await?;
    until_fresh(policy, server, Duration::from_secs(8)).await?;
    let readiness = server.readiness().await?;
    ensure!(readiness.status == 200 && !readiness.body.contains("[-]"), "not well: {}", readiness.body);
    Ok(())
}

/// Writes as soon as it can be done: the API server's connections to etcd may still be those from before.
async fn until_set(plane: &ControlPlane, policy: &NumberedPolicy, number: u32) -> anyhow::Result<Value> {
    let set = async || policy.set(plane, number).await;
    wait::until_is("the API server can write again", SOON, set, |_| true).await
}
