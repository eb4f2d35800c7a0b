//! The connection to the API server is cut for half a minute while objects change; stalls without a word; is slow.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use crate::kit::{ControlPlane, GavelServer, Mode, NumberedPolicy, Proxy, Scenario, objects, seconds, wait};

const SOON: Duration = Duration::from_secs(60);
/// How long the connection is cut.
const CUT: Duration = Duration::from_secs(30);
const WATCH_SECONDS: &str = "--watch-seconds=4";
/// A watch that is silent for so much longer has stalled: `gavel-server --help`.
const STALLED: Duration = Duration::from_secs(4 + 5);
/// Shorter than the cut, so that readiness goes and comes back.
const UNREADY: &str = "--unready-after-seconds=20";

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let plane = scenario.own_plane().await?;
    let proxy = Proxy::start(plane.address).await?;
    let policy = NumberedPolicy::create(&plane, scenario.name, 1).await?;
    let kubeconfig = plane.kubeconfig(proxy.address)?;
    let server = GavelServer::start(&scenario.folder, &kubeconfig, &[WATCH_SECONDS, UNREADY]).await?;
    let instance = server.snapshot().await?.instance;

    cut(&plane, &proxy, &server, &policy).await?;
    stall(&plane, &proxy, &server, &policy).await?;
    slow(&plane, &proxy, &server, &policy).await?;
    ensure!(server.snapshot().await?.instance == instance, "the server was restarted meanwhile");
    Ok(())
}

/// Cut for half a minute while objects change: created, changed and deleted.
async fn cut(
    plane: &ControlPlane,
    proxy: &Proxy,
    server: &GavelServer,
    policy: &NumberedPolicy,
) -> anyhow::Result<()> {
    let doomed = plane.rest.create(&objects::policy("faults-watch-doomed", json!({}))).await?;
    server.holds_object("PodSecurityPolicy", &doomed).await?;
    let before = policies(server).await?;

    proxy.set(Mode::Cut);
    let start = Instant::now();
    let mut number = 1;
    let mut gave_up_readiness = false;
    while start.elapsed() < CUT {
        number += 1;
        policy.set(plane, number).await?;
        let (decided_by, _) = policy.ask(server).await?;
        ensure!(decided_by == 1, "decided by {decided_by}, which nobody can have told the server");
        gave_up_readiness |= server.readiness().await?.status == 503;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    ensure!(gave_up_readiness, "{UNREADY}, and still ready after {CUT:?}");
    let (_, answer) = policy.ask(server).await?;
    let age = seconds(answer.staleness.as_ref());
    ensure!(age.is_some_and(|age| age > 20.0), "an answer half a minute old says that it is {age:?} s old");
    plane.rest.delete("/apis/policy.gavel.dev/v1/podsecuritypolicies/faults-watch-doomed").await?;
    let born = plane.rest.create(&objects::policy("faults-watch-born", json!({}))).await?;

    proxy.set(Mode::Pass);
    server.holds_object("PodSecurityPolicy", &born).await?;
    ensure!(policy.ask(server).await?.0 == number, "not caught up with the changes made meanwhile");
    // One came, and one went.
    let after = policies(server).await?;
    ensure!(after == before, "{after} policies, not {before}");
    server.until_readiness("readiness comes back", SOON, |ready| ready.status == 200).await?;
    Ok(())
}

async fn policies(server: &GavelServer) -> anyhow::Result<u64> {
    Ok(server.snapshot().await?.objects.get("PodSecurityPolicy").copied().unwrap_or_default())
}

/// Nothing passes, and nobody says so.
async fn stall(
    plane: &ControlPlane,
    proxy: &Proxy,
    server: &GavelServer,
    policy: &NumberedPolicy,
) -> anyhow::Result<()> {
    let (number, _) = policy.ask(server).await?;
    proxy.set(Mode::Stall);
    let start = Instant::now();
    policy.set(plane, number + 1).await?;
    let readiness = server
        .until_readiness("the stalled watch is noticed", SOON, |ready| ready.body.contains("failing"))
        .await?;
    let noticed = start.elapsed();
    ensure!(noticed < STALLED + Duration::from_secs(4), "noticed after {noticed:?} only: {}", readiness.body);
    let stalled = server.metric("gavel_watch_breakages_total").await?;
    let told = stalled.iter().any(|(name, count)| name.contains("stall") && *count > 0.0);
    ensure!(told, "no metric tells of the stalled watch: {stalled:?}");
    ensure!(policy.ask(server).await?.0 == number, "decided by what cannot have passed");

    proxy.set(Mode::Pass);
    let written = policy.set(plane, number + 2).await?;
    ensure!(policy.ask_after(server, &written).await? == number + 2, "not caught up after the stall");
    let well = |ready: &crate::kit::Response| ready.status == 200 && !ready.body.contains("failing");
    server.until_readiness("all watches are well again", SOON, well).await?;
    Ok(())
}

/// Everything comes late, in small pieces.
async fn slow(
    plane: &ControlPlane,
    proxy: &Proxy,
    server: &GavelServer,
    policy: &NumberedPolicy,
) -> anyhow::Result<()> {
    proxy.set(Mode::Slow(Duration::from_millis(50)));
    let (mut number, _) = policy.ask(server).await?;
    for _ in 0..5 {
        number += 1;
        let written = policy.set(plane, number).await?;
        ensure!(policy.ask_after(server, &written).await? == number, "not caught up over a slow connection");
    }
    proxy.set(Mode::Pass);
    let broken = async || Ok(server.readiness().await?.body);
    wait::until_is("all watches are well", SOON, broken, |body| !body.contains("failing")).await?;
    Ok(())
}
