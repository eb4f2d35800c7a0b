//! The thread that writes. Nobody else waits for a disk, a pipe or a receiver.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::PATIENCE;
use super::question::Redaction;
use super::record::Record;
use super::sink::Sink;
use crate::metrics::{Metrics, RecordResult};

/// How long what was written may wait for more before it is handed on.
const LINGER: Duration = Duration::from_millis(200);
/// How often it is told that records cannot be written.
const RARELY: Duration = Duration::from_secs(60);

/// The end of the queue that records go into.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<SyncSender<(Record, Redaction)>>,
    /// Locked by nobody but the end.
    ended: Mutex<Receiver<()>>,
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
        Ok(Self { queue: Some(queue), ended: Mutex::new(ended) })
    }

    /// Has a record written; false when there is no room for it.
    pub(super) fn write(&self, record: Record, redaction: Redaction) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.try_send((record, redaction)).is_ok())
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

fn write(mut sink: Sink, records: &Receiver<(Record, Redaction)>, metrics: &Metrics) {
    let mut told: Option<Instant> = None;
    let mut failed = |why: &str| {
        metrics.recorded(RecordResult::Failed);
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
            Ok((record, redaction)) => {
                // FileRotate panics where a disk is full when it begins another file.
                let object = record.to_json(redaction);
                match catch_unwind(AssertUnwindSafe(|| sink.write(&record, &object))) {
                    Ok(Ok(())) => metrics.recorded(RecordResult::Written),
                    Ok(Err(error)) => failed(&error.to_string()),
                    Err(_) => failed("the next file cannot be begun"),
                }
                lies.get_or_insert_with(Instant::now);
            }
            Err(ended) => {
                if let Err(error) = sink.flush() {
                    failed(&error.to_string());
                }
                lies = None;
                if ended == RecvTimeoutError::Disconnected {
                    return;
                }
            }
        }
    }
}
