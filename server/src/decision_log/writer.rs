//! The thread that writes. Nobody else waits for a disk, a pipe or a receiver.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gavel_telemetry::Ended;

use super::question::Redaction;
use super::record::Record;
use super::sink::Sink;
use super::{PATIENCE, WAITING_BYTES};
use crate::metrics::{Metrics, RecordResult};

/// How long what was written may wait for more before it is handed on.
const LINGER: Duration = Duration::from_millis(200);
/// How often it is told that records cannot be written.
const RARELY: Duration = Duration::from_secs(60);

/// The end of the queue that records go into.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<SyncSender<Waiting>>,
    /// Bytes of what waits.
    held: Arc<AtomicUsize>,
    /// Locked by nobody but the end.
    ended: Mutex<Receiver<()>>,
}

/// A record that waits to be written.
#[derive(Debug)]
struct Waiting {
    record: Record,
    redaction: Redaction,
    _room: Room,
}

/// Memory that a record may take, until this is dropped.
#[derive(Debug)]
struct Room {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl Room {
    fn take(held: &Arc<AtomicUsize>, bytes: usize) -> Option<Self> {
        let most = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= WAITING_BYTES);
        held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, most).ok()?;
        Some(Self { held: held.clone(), bytes })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub(super) fn start(sink: Sink, waiting: usize, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        let (queue, records) = sync_channel(waiting);
        let (ends, ended) = sync_channel(1);
        std::thread::Builder::new()
            .name("decision-log".to_owned())
            .spawn(move || {
                write(sink, &records, &metrics);
                let _ = ends.send(());
            })
            .context("the decision log's thread cannot be started")?;
        Ok(Self { queue: Some(queue), held: Arc::default(), ended: Mutex::new(ended) })
    }

    /// Has a record written; false when there is no room for it.
    pub(super) fn write(&self, record: Record, redaction: Redaction) -> bool {
        let Some(queue) = &self.queue else { return false };
        Room::take(&self.held, record.size())
            .is_some_and(|room| queue.try_send(Waiting { record, redaction, _room: room }).is_ok())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        // A pipe that nobody reads must not keep the process alive.
        if let Ok(ended) = self.ended.get_mut() {
            let _ = ended.recv_timeout(PATIENCE);
        }
    }
}

fn write(mut sink: Sink, records: &Receiver<Waiting>, metrics: &Metrics) {
    let mut told: Option<Instant> = None;
    let mut failed = |why: &str| {
        metrics.recorded(RecordResult::Failed, 1);
        if told.is_none_or(|at| at.elapsed() > RARELY) {
            told = Some(Instant::now());
            tracing::error!(why, "a record of the decision log cannot be written");
        }
    };
    // Since when something lies here that was not handed on.
    let mut lies: Option<Instant> = None;
    loop {
        let next = match lies {
            None => records.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(since) if since.elapsed() >= LINGER => Err(RecvTimeoutError::Timeout),
            Some(since) => records.recv_timeout(LINGER.saturating_sub(since.elapsed())),
        };
        match next {
            Ok(Waiting { record, redaction, _room }) => {
                // FileRotate panics where a disk is full when it begins another file.
                let object = record.to_json(redaction);
                match catch_unwind(AssertUnwindSafe(|| sink.write(&record, &object))) {
                    Ok(Ok(true)) => metrics.recorded(RecordResult::Written, 1),
                    Ok(Ok(false)) => {}
                    Ok(Err(error)) => failed(&error.to_string()),
                    Err(_) => failed("the next file cannot be begun"),
                }
                lies.get_or_insert_with(Instant::now);
            }
            Err(ended) => {
                if let Err(error) = sink.flush() {
                    failed(&error.to_string());
                }
                lies = sink.has_waiting().then(Instant::now);
                if ended == RecvTimeoutError::Disconnected {
                    return;
                }
            }
        }
        // Exporters tell themselves why they cannot send.
        let Ended { taken, lost } = sink.ended();
        metrics.recorded(RecordResult::Written, taken);
        metrics.recorded(RecordResult::Failed, lost);
    }
}
