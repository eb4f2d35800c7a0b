//! A thousand changes of a policy during a thousand admissions: every answer is right for the revision it names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::StreamExt as _;
use tokio::sync::watch;

use crate::kit::{ControlPlane, GavelServer, NumberedPolicy, Scenario, resource_version};

const CHANGES: u32 = 1000;
/// How many ask at once.
const ASKERS: usize = 2;

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let plane = scenario.shared_plane().await?;
    let policy = NumberedPolicy::create(plane, scenario.name, 1).await?;
    let first = plane.rest.get(&policy.path()).await?;
    let server = GavelServer::start(&scenario.folder, &plane.kubeconfig(plane.address)?, &[]).await?;
    ensure!(policy.ask_after(&server, &first).await? == 1, "not decided by the policy as written");

    let revisions = server.watch().await?;
    let stop = Arc::new(AtomicBool::new(false));
    let collected = tokio::spawn(collect(revisions, stop.clone()));
    let (writing, written) = watch::channel(first.clone());
    let (writes, answers) = tokio::join!(
        write(plane, &policy, first, writing),
        futures_util::future::try_join_all((0..ASKERS).map(|_| ask(&server, &policy, written.clone()))),
    );
    let (writes, answers) = (writes?, answers?.concat());
    // The last revision is told once the last write is known.
    let (last, _) = writes.last_key_value().context("no writes")?;
    server.holds("PodSecurityPolicy", &last.to_string()).await?;
    stop.store(true, Ordering::Relaxed);
    let revisions = collected.await??;
    check(&writes, &answers, &revisions)
}

/// Changes the policy again and again: which number was written under which resourceVersion.
async fn write(
    plane: &ControlPlane,
    policy: &NumberedPolicy,
    first: serde_json::Value,
    writing: watch::Sender<serde_json::Value>,
) -> anyhow::Result<BTreeMap<u64, u32>> {
    let mut writes = BTreeMap::from([(resource_version(&first)?.parse()?, 1)]);
    for number in 2..=CHANGES + 1 {
        let written = policy.set(plane, number).await?;
        writes.insert(resource_version(&written)?.parse()?, number);
        writing.send_replace(written);
    }
    Ok(writes)
}

/// An answer: the revision it names, and the number it was decided by.
type Answer = (u64, u32);

/// Asks until the last change was written, and at least a thousand times; every tenth time for the change just made.
async fn ask(
    server: &GavelServer,
    policy: &NumberedPolicy,
    mut written: watch::Receiver<serde_json::Value>,
) -> anyhow::Result<Vec<Answer>> {
    let mut answers = Vec::new();
    while written.has_changed().is_ok() || answers.len() < CHANGES as usize {
        let (number, answer) = policy.ask(server).await?;
        answers.push((answer.revision, number));
        if answers.len().is_multiple_of(10) {
            let latest = written.borrow_and_update().clone();
            let at_least = u64::from(policy.ask_after(server, &latest).await?);
            let wanted = latest.pointer("/spec/fsGroup/ranges/0/min").and_then(serde_json::Value::as_u64);
            ensure!(Some(at_least) >= wanted, "decided by {at_least}, though {wanted:?} was asked for");
        }
    }
    Ok(answers)
}

/// What a revision holds: all PodSecurityPolicies up to this resourceVersion.
type Revisions = BTreeMap<u64, u64>;

async fn collect(
    mut revisions: tonic::Streaming<gavel_proto::v1::SnapshotRevision>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<Revisions> {
    let mut collected = Revisions::new();
    loop {
        let next = tokio::time::timeout(Duration::from_millis(500), revisions.next()).await;
        let Ok(next) = next else {
            // Silence: once all is written and known, nothing more comes.
            if stop.load(Ordering::Relaxed) {
                return Ok(collected);
            }
            continue;
        };
        let revision = next.context("the stream of revisions ended")??;
        ensure!(!revision.missed, "revisions before {} were not told", revision.revision);
        let held = revision.resource_versions.get("PodSecurityPolicy").context("no PodSecurityPolicies")?;
        collected.insert(revision.revision, held.parse()?);
    }
}

/// Holds every answer against the policy as it was in the revision it names.
fn check(writes: &BTreeMap<u64, u32>, answers: &[Answer], revisions: &Revisions) -> anyhow::Result<()> {
    ensure!(answers.len() >= CHANGES as usize, "{} answers", answers.len());
    for (revision, number) in answers {
        let (_, held) = revisions
            .get_key_value(revision)
            .with_context(|| format!("revision {revision} answered, and was not told"))?;
        let (version, expected) =
            writes.range(..=held).next_back().with_context(|| format!("nothing was written up to {held}"))?;
        ensure!(
            number == expected,
            "revision {revision} holds what was written up to {held}, so the policy of {version} with {expected}; \
             decided by {number}"
        );
    }
    let distinct: std::collections::BTreeSet<u32> = answers.iter().map(|(_, number)| *number).collect();
    ensure!(distinct.len() > 100, "only {} of the policy's versions decided anything", distinct.len());
    println!(
        "storm: {CHANGES} changes, {} admissions by {} versions of the policy in {} revisions, every one right",
        answers.len(),
        distinct.len(),
        revisions.len()
    );
    Ok(())
}
