//! The decision log: what was asked, by whom, what was decided, and by which policy.
//!
//! It never holds a decision up. A record goes into a queue that is bounded, and a thread writes what is in it; what finds
//! no room is dropped, and counted.

mod id;
mod question;
mod record;
mod sink;
mod writer;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use id::DecisionIds;
pub(crate) use question::Redaction;
pub(crate) use record::{Question, Record};
pub(crate) use sink::Target;

use crate::metrics::{Metrics, RecordResult};
use writer::Writer;

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    /// Nothing.
    Off,
    /// This part of the decisions, and all that are traced.
    Sampled(f64),
    /// Everything.
    All,
}

/// The decision log. It is written out when it is dropped, as far as that is possible in [`PATIENCE`].
#[derive(Debug)]
pub(crate) struct DecisionLog {
    mode: Mode,
    redaction: Redaction,
    writer: Option<Writer>,
    metrics: Arc<Metrics>,
}

/// How long the end of the server waits for the log.
const PATIENCE: Duration = Duration::from_secs(2);
/// Records that may wait: a few milliseconds of a server that is busy.
const WAITING: usize = 8192;
/// Bytes of them: objects may be large, and whatever writes may be stuck.
const WAITING_BYTES: usize = 64 << 20;

impl DecisionLog {
    /// No log.
    pub(crate) fn off(metrics: Arc<Metrics>) -> Self {
        Self { mode: Mode::Off, redaction: Redaction::Redacted, writer: None, metrics }
    }

    /// A log that goes there.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub(crate) fn new(
        mode: Mode,
        redaction: Redaction,
        target: Target,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let writer = Some(Writer::start(target.open()?, WAITING, metrics.clone())?);
        Ok(Self { mode, redaction, writer, metrics })
    }

    /// Whether a decision is logged.
    pub(crate) fn wants(&self, is_traced: bool) -> bool {
        match self.mode {
            Mode::Off => false,
            Mode::Sampled(ratio) => is_traced || fastrand::f64() < ratio,
            Mode::All => true,
        }
    }

    /// Logs a decision.
    pub(crate) fn record(&self, record: Record) {
        let Some(writer) = &self.writer else { return };
        if !writer.write(record, self.redaction) {
            self.metrics.recorded(RecordResult::Dropped, 1);
        }
    }
}

#[cfg(test)]
mod tests;
