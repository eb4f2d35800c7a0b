//! The server is started again while the API server is down: with --state-dir it answers from disk and says so,
//! without it does not answer.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use gavel_proto::v1::SourceState;
use serde_json::json;
use tonic::Code;

use crate::kit::{GavelServer, NumberedPolicy, Scenario, admission, objects, seconds, wait};

const SOON: Duration = Duration::from_secs(60);
const SOURCE: &str = "cluster/PodSecurityPolicy";

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let mut plane = scenario.own_plane().await?;
    let policy = NumberedPolicy::create(&plane, scenario.name, 1).await?;
    let kubeconfig = plane.kubeconfig(plane.address)?;
    let state = scenario.folder.file("state");
    let flag = format!("--state-dir={}", state.display());
    let mut server = GavelServer::start(&scenario.folder, &kubeconfig, &[&flag]).await?;
    let doomed = plane.rest.create(&objects::policy("faults-restart-doomed", json!({}))).await?;
    server.holds_object("PodSecurityPolicy", &doomed).await?;
    let written = policy.set(&plane, 2).await?;
    ensure!(policy.ask_after(&server, &written).await? == 2, "not decided by the policy as written");
    let before = server.snapshot().await?;

    server.kill()?;
    // What the server cannot know of: it comes back to a cluster that went on.
    policy.set(&plane, 3).await?;
    plane.rest.delete("/apis/policy.gavel.dev/v1/podsecuritypolicies/faults-restart-doomed").await?;
    plane.kill_api_server()?;

    server.start_again()?;
    server.until_ready().await.context("with --state-dir, without an API server")?;
    let (number, answer) = policy.ask(&server).await?;
    ensure!(number == 2, "decided by {number}; 2 is what was kept");
    let age = seconds(answer.staleness.as_ref());
    ensure!(age.is_some_and(|age| age > 0.0), "an answer from disk says that it is {age:?} s old");
    let source = server.source(SOURCE).await?;
    ensure!(source.state() == SourceState::Restored, "the source is {:?}", source.state());
    let restored = server.snapshot().await?;
    ensure!(restored.objects == before.objects, "{:?}, not {:?}", restored.objects, before.objects);
    ensure!(restored.instance != before.instance, "another process, the same instance");

    let forgetful = GavelServer::spawn(&scenario.folder, &kubeconfig, &[])?;
    let unready = forgetful.until_readiness("it listens", SOON, |_| true).await?;
    ensure!(unready.status == 503, "ready without anything to answer from: {}", unready.body);
    let refused = forgetful.admit(admission(&policy.pod("asked"))).await;
    ensure!(refused.as_ref().is_err_and(|status| status.code() == Code::Unavailable), "{refused:?}");

    plane.start_api_server().await?;
    let written = policy.set(&plane, 4).await?;
    for server in [&server, &forgetful] {
        // The one that knows nothing has first to find the API server.
        server.until_readiness("it is ready", SOON, |ready| ready.status == 200).await?;
        ensure!(policy.ask_after(server, &written).await? == 4, "not caught up with the API server");
        let state = async || Ok(server.source(SOURCE).await?.state());
        wait::until_is("the source is synced", SOON, state, |state| *state == SourceState::Synced).await?;
        let policies = server.snapshot().await?.objects.get("PodSecurityPolicy").copied();
        ensure!(policies == Some(1), "{policies:?} policies: the one deleted meanwhile is still there");
    }
    Ok(())
}
