//! Latencies in an open loop, at rest and while a thousand changes a second are watched and applied.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use gavel_proto::v1;
use tonic::Code;

use super::changes::Changes;
use super::figures::{Side, Tail, TailPair};
use super::servers::{Programs, Served};
use super::world::World;
use crate::{Load, Pace, Questions, Target, process};

/// Changes a second.
const CHANGES: u32 = 1000;
/// Questions a second.
const RATE: f64 = 2000.0;
/// How long the last change may take to be known.
const KNOWN: Duration = Duration::from_secs(30);

/// Measures so many pairs of windows.
///
/// # Errors
/// When the server does not start, a question is not answered, or the last change never becomes known.
pub(super) async fn measure(
    programs: &Programs,
    world: &World,
    pairs: usize,
    window: Duration,
) -> anyhow::Result<Tail> {
    let mut changes = Changes::start(world, &programs.folder).await?;
    let flags = [
        "--cluster".to_owned(),
        format!("--kubeconfig={}", changes.kubeconfig.display()),
        // The watches do not end meanwhile.
        "--watch-seconds=3600".to_owned(),
    ];
    let served = programs.gavel(programs.modes()?[0], &flags).await?;
    let target = served.target(true).await?;
    let questions: Arc<Questions> = Arc::new(world.flows.iter().cloned().collect());
    ask(&served, &target, &questions, window / 5).await?;
    let mut tail = Tail { cluster: world.words(), rate: RATE, ..Default::default() };
    let (mut sent, mut revisions, mut seconds) = (0, 0, 0.0);
    for number in 0..pairs {
        let mut pair = TailPair::default();
        for with_changes in [number % 2 == 1, number % 2 == 0] {
            if !with_changes {
                pair.rest = ask(&served, &target, &questions, window).await?;
                continue;
            }
            let before = revision(&target).await?;
            let began = Instant::now();
            let stop = Arc::new(AtomicBool::new(false));
            let feed = std::thread::spawn({
                let stop = stop.clone();
                move || feed(changes, &stop)
            });
            let asked = ask(&served, &target, &questions, window).await;
            stop.store(true, Ordering::Relaxed);
            let (back, count) = feed.join().map_err(|_| anyhow::anyhow!("changing panicked"))?;
            (changes, pair.changes) = (back, asked?);
            seconds += began.elapsed().as_secs_f64();
            sent += count;
            known(&target, &changes).await?;
            revisions += revision(&target).await? - before;
        }
        tail.pairs.push(pair);
    }
    tail.changes_per_second = f64::from(sent) / seconds;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let revisions = revisions as f64;
    tail.revisions_per_second = revisions / seconds;
    served.stop().await?;
    Ok(tail)
}

/// Sends changes evenly until it is told to stop; how many.
fn feed(mut changes: Changes, stop: &AtomicBool) -> (Changes, u32) {
    let began = Instant::now();
    let mut sent = 0;
    // The last one is a pod that comes: it can be asked whether that is known.
    while !stop.load(Ordering::Relaxed) || !changes.is_pod_latest() {
        changes.next();
        sent += 1;
        let due = began + Duration::from_secs(1) * sent / CHANGES;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    (changes, sent)
}

async fn ask(
    served: &Served,
    target: &Target,
    questions: &Arc<Questions>,
    duration: Duration,
) -> anyhow::Result<Side> {
    let me = std::process::id();
    let before = (served.cpu()?, process::cpu(me)?);
    let load = Load { pace: Pace::Open { per_second: RATE, most_in_flight: 1000 }, duration };
    let results = target.ask_all(questions, load).await;
    ensure!(results.failed() == 0, "questions were not answered: {results}");
    let (server, client) = (served.cpu()? - before.0, process::cpu(me)?.saturating_sub(before.1));
    Ok(Side::new(&results, 1, server, client))
}

async fn revision(target: &Target) -> anyhow::Result<u64> {
    let request = target.request(v1::GetSnapshotRequest::default());
    Ok(target.client(0).get_snapshot(request).await?.into_inner().revision)
}

/// Waits until the pod that came last can be asked about.
async fn known(target: &Target, changes: &Changes) -> anyhow::Result<()> {
    let (namespace, name) = changes.latest().context("no pod came")?;
    let pod = v1::End { end: Some(v1::end::End::Pod(v1::PodRef { namespace, name, ip: String::new() })) };
    let question = v1::CheckFlowRequest {
        source: Some(pod.clone()),
        destination: Some(pod),
        port: 80,
        ..Default::default()
    };
    let began = Instant::now();
    loop {
        match target.client(0).check_flow(target.request(question.clone())).await {
            Ok(_) => return Ok(()),
            Err(status) if status.code() == Code::InvalidArgument && began.elapsed() < KNOWN => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(status) => anyhow::bail!("the last change does not become known: {status}"),
        }
    }
}
