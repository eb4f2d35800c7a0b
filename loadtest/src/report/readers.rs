//! Readers are not blocked: shown by asking the engine all the while that one large change is applied.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use gavel_engine::Change;
use gavel_server::decide;
use gavel_server::publisher::Publisher;

use super::figures::Readers;
use super::world::World;
use crate::Results;

/// Has every object of the cluster applied anew by one thread, and asks by another.
///
/// # Errors
/// When the manifests cannot be read, or an answer is not the one that was given before the change: all of it comes at
/// once, and leaves everything as it was.
pub(super) fn measure(world: &World) -> anyhow::Result<Readers> {
    let publisher = Arc::new(Publisher::new([]));
    let is_done = Arc::new(AtomicBool::new(false));
    let (first, published) = std::sync::mpsc::channel();
    let writer = {
        let (publisher, is_done) = (publisher.clone(), is_done.clone());
        let manifests = world.manifests.clone();
        // All that is of the snapshot is allocated by this thread: what it frees is not of the reader's arena, whose
        // lock would be a wait of the allocator's making.
        std::thread::spawn(move || {
            let reading = gavel_source::manifests::read(&[manifests]);
            let objects: Vec<_> = reading.objects.into_iter().map(|located| located.item).collect();
            publisher.publish(objects.iter().cloned().map(Change::Upsert).collect(), &[]);
            // Fails when nobody asks, as after an error.
            let _ = first.send(());
            let (began, count) = (Instant::now(), objects.len());
            let removed: Vec<_> = objects.iter().map(|object| Change::Remove(object.key())).collect();
            publisher
                .publish(removed.into_iter().chain(objects.into_iter().map(Change::Upsert)).collect(), &[]);
            is_done.store(true, Ordering::Release);
            (count, began.elapsed())
        })
    };
    published.recv().context("the writer panicked")?;
    let mut results = Results::default();
    // Some questions are about what is not there; that, too, is an answer.
    let ask = |question| -> anyhow::Result<Option<(i32, String)>> {
        let published = publisher.published().context("there is a snapshot")?;
        Ok(decide::check_flow(&published.snapshot, question)
            .ok()
            .map(|answer| (answer.verdict, answer.reason)))
    };
    let asked = world.flows.iter().map(|question| Ok((question, ask(question)?)));
    let known: Vec<_> = asked.collect::<anyhow::Result<_>>()?;
    let before = switches()?;
    for (question, answer) in known.iter().cycle() {
        if is_done.load(Ordering::Acquire) {
            break;
        }
        let asked = Instant::now();
        let now = ask(question)?;
        results.record(asked.elapsed(), Ok(()));
        ensure!(now == *answer, "another answer than before: {now:?} instead of {answer:?} to {question:?}");
    }
    let after = switches()?;
    let (objects, applied) = writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
    Ok(Readers {
        objects,
        applied_seconds: applied.as_secs_f64(),
        answered: results.answered(),
        waited: after.0 - before.0,
        preempted: after.1 - before.1,
        took_micros: [0.5, 0.999, 1.0].map(|part| results.quantile(part).as_secs_f64() * 1e6),
    })
}

/// How often this thread waited for something, and how often its core was given to another.
fn switches() -> anyhow::Result<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/thread-self/status")?;
    let count = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().parse().ok()).with_context(|| format!("no {name} of this thread"))
    };
    Ok((count("voluntary_ctxt_switches:")?, count("nonvoluntary_ctxt_switches:")?))
}
