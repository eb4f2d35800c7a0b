//! The server is killed and started again while the API server is down: with --state-dir it answers from disk and says
//! so, so that webhook and API server do not wait for each other; without it does not answer.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use gavel_proto::v1::SourceState;
use serde_json::{Value, json};
use tonic::Code;

use super::census::{self, KINDS};
use super::meanwhile::{nothing_fresh, staleness, until_fresh};
use crate::kit::{
    ControlPlane, GavelServer, NumberedPolicy, Response, Scenario, Webhook, WebhookFlags, admission, objects,
    path, wait,
};

const SOON: Duration = Duration::from_secs(60);
const WATCH: &str = "--watch-seconds=5";
/// Numbers that are found in a file for sure where they are, and nowhere else.
const KEPT: u32 = 641_001;
const MISSED: u32 = 641_002;
const AFTER: u32 = 641_003;

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let mut plane = scenario.own_plane().await?;
    let policy = NumberedPolicy::create(&plane, scenario.name, 1).await?;
    let kubeconfig = plane.kubeconfig(plane.address)?;
    let state = scenario.folder.file("state");
    let flag = format!("--state-dir={}", state.display());
    let mut server = GavelServer::start(&scenario.folder, &kubeconfig, &[&flag, WATCH]).await?;
    let webhook = Webhook::start(&scenario.folder, &[&server], WebhookFlags::default()).await?;
    webhook.validates(&plane, scenario.name).await?;
    webhook.mutates(&plane, scenario.name).await?;
    let doomed = objects::policy("faults-restart-doomed", json!({"hostPID": true}));
    plane.rest.create(&doomed).await?;
    let written = policy.set(&plane, KEPT).await?;
    ensure!(policy.ask_after(&server, &written).await? == KEPT, "not decided by the policy as written");
    census::until_agreed(&plane, &server).await?;
    is_on_disk(&state, KEPT).await?;
    let before = server.snapshot().await?;

    server.kill()?;
    // What the server cannot know of: it comes back to a cluster that went on.
    policy.set(&plane, MISSED).await?;
    plane.rest.delete(&path(&doomed)).await?;
    plane.kill_api_server()?;
    let alone = Instant::now();

    server.start_again()?;
    server.until_ready().await.context("with --state-dir, without an API server")?;
    answers_from_disk(&policy, &server, alone).await?;
    let restored = server.snapshot().await?;
    ensure!(restored.objects == before.objects, "{:?}, not {:?}", restored.objects, before.objects);
    ensure!(restored.instance != before.instance, "another process, the same instance");
    let reviewed = review(&webhook, &policy.pod("asked")).await?;
    ensure!(reviewed["response"]["allowed"] == true, "the webhook refuses: {reviewed}");

    let forgetful = GavelServer::spawn(&scenario.folder, &kubeconfig, &[WATCH])?;
    does_not_answer(&policy, &forgetful).await?;

    plane.start_api_server().await?;
    // The first pod after it: nobody waits for anybody.
    let stranger = plane.rest.as_user(objects::STRANGER);
    let pod = stranger.create(&objects::pod(scenario.name, "first", json!({}))).await?;
    let number = pod["spec"]["securityContext"]["fsGroup"].as_u64();
    ensure!(number == Some(KEPT.into()) || number == Some(MISSED.into()), "mutated by no policy: {pod}");
    for server in [&server, &forgetful] {
        catches_up(&plane, server, &policy).await?;
    }
    Ok(())
}

/// Waits until what was published is kept. A killed process loses what was not synced to the disk, seconds at most
/// (`server/source/src/cluster/store.rs`): the number has to be in the file, and the file written once more.
async fn is_on_disk(state: &Path, number: u32) -> anyhow::Result<()> {
    let file = state.join("objects.redb");
    let number = format!("\"max\":{number}").into_bytes();
    let found = async || {
        let bytes = std::fs::read(&file)?;
        Ok(bytes.windows(number.len()).any(|window| window == number))
    };
    wait::until_is("the policy is on disk", SOON, found, |found| *found).await?;
    let modified = async || Ok(std::fs::metadata(&file)?.modified()?);
    let then = modified().await?;
    wait::until_is("the store is written once more", SOON, modified, |now| *now > then).await?;
    Ok(())
}

/// Every answer is as old as the API server's end at least, and every source says where it has its objects from.
async fn answers_from_disk(
    policy: &NumberedPolicy,
    server: &GavelServer,
    alone: Instant,
) -> anyhow::Result<()> {
    let at_least = alone.elapsed().as_secs_f64();
    let (number, answer) = policy.ask(server).await?;
    ensure!(number == KEPT, "decided by {number}; {KEPT} is what was kept");
    let age = staleness(&answer)?;
    ensure!(
        age >= at_least,
        "an answer says that it is {age} s old, {at_least} s after the API server's end"
    );
    println!("faults-restart: the answer from disk says that it is {age:.1} s old");
    census::until_all(server, SourceState::Restored).await?;
    let readiness = server.readiness().await?;
    for (kind, _) in KINDS {
        let line = format!("[-] source cluster/{kind} restored: ");
        ensure!(readiness.body.contains(&line), "/readyz does not say `{line}`: {}", readiness.body);
    }
    nothing_fresh(policy, server, Duration::from_millis(1)).await
}

/// The answer of `/mutate`, asked as an API server would.
async fn review(webhook: &Webhook, pod: &Value) -> anyhow::Result<Value> {
    let pods =
        |key: &str| json!({"group": "", "version": "v1", key: if key == "kind" { "Pod" } else { "pods" }});
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "e2e", "operation": "CREATE", "kind": pods("kind"), "resource": pods("resource"),
            "namespace": pod["metadata"]["namespace"], "name": pod["metadata"]["name"],
            "userInfo": {"username": objects::STRANGER}, "object": pod,
        },
    });
    let answer = webhook.https.post("/mutate?timeout=10s", review.to_string()).await?;
    serde_json::from_str(&answer.body).with_context(|| format!("{answer:?}"))
}

/// Without anything kept: not ready, and no guess.
async fn does_not_answer(policy: &NumberedPolicy, server: &GavelServer) -> anyhow::Result<()> {
    let told = |ready: &Response| ready.body.contains("[-] source cluster/Pod pending: ");
    let readiness = server.until_readiness("it listens", SOON, told).await?;
    ensure!(readiness.status == 503, "ready without anything to answer from: {}", readiness.body);
    let refused = server.admit(admission(&policy.pod("asked"))).await;
    let status = refused.err().context("an answer without anything to answer from")?;
    ensure!(status.code() == Code::Unavailable, "{status}");
    ensure!(status.message().contains("cluster/PodSecurityPolicy"), "{status}");
    Ok(())
}

/// What was missed comes first, and then what is new.
async fn catches_up(
    plane: &ControlPlane,
    server: &GavelServer,
    policy: &NumberedPolicy,
) -> anyhow::Result<()> {
    census::until_all(server, SourceState::Synced).await?;
    census::until_agreed(plane, server).await?;
    let number = policy.ask(server).await?.0;
    ensure!(number == MISSED || number == AFTER, "decided by {number}, after everything was listed");
    let written = policy.set(plane, AFTER).await?;
    ensure!(policy.ask_after(server, &written).await? == AFTER, "not caught up with the API server");
    until_fresh(policy, server, Duration::from_secs(8)).await?;
    server.until_readiness("it is ready", SOON, |ready| ready.status == 200).await?;
    Ok(())
}
