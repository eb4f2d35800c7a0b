//! Readers are not blocked: shown by asking the engine all the while that one large change is applied.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use gavel_engine::Change;
use gavel_server::decide;
use gavel_server::publisher::Publisher;

use super::figures::Readers;
use super::world::World;

/// Has every object of the cluster applied anew by one thread, and asks by another.
///
/// # Errors
/// When the manifests cannot be read, or an answer is missing.
pub(super) fn measure(world: &World) -> anyhow::Result<Readers> {
    let reading = gavel_source::manifests::read(std::slice::from_ref(&world.manifests));
    ensure!(reading.errors.is_empty(), "{:?}", reading.errors.first());
    let objects: Vec<_> = reading.objects.into_iter().map(|located| located.item).collect();
    let publisher = Arc::new(Publisher::new([]));
    let count = objects.len();
    publisher.publish(objects.iter().cloned().map(Change::Upsert).collect(), &[]);
    let is_done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (publisher, is_done) = (publisher.clone(), is_done.clone());
        std::thread::spawn(move || {
            let began = Instant::now();
            let removed: Vec<_> = objects.iter().map(|object| Change::Remove(object.key())).collect();
            publisher
                .publish(removed.into_iter().chain(objects.into_iter().map(Change::Upsert)).collect(), &[]);
            is_done.store(true, Ordering::Release);
            began.elapsed()
        })
    };
    let mut answered = 0;
    let mut slowest = Duration::ZERO;
    for question in world.flows.iter().cycle() {
        if is_done.load(Ordering::Acquire) {
            break;
        }
        let asked = Instant::now();
        let published = publisher.published().context("there is a snapshot")?;
        // Some questions are about what is not there; that, too, is an answer.
        let _ = std::hint::black_box(decide::check_flow(&published.snapshot, question));
        slowest = slowest.max(asked.elapsed());
        answered += 1;
    }
    let applied = writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
    Ok(Readers {
        objects: count,
        applied_seconds: applied.as_secs_f64(),
        answered,
        slowest_micros: slowest.as_secs_f64() * 1e6,
    })
}
