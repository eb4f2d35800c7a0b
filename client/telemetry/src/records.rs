//! Records that are sent by OTLP, and what became of each. By itself, the SDK drops what its queue has no room for, bounds
//! that queue by records and not by bytes, and tells nobody what a receiver did not take.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::logs::{AnyValue, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, SdkLogRecord, SdkLogger, SdkLoggerProvider,
};

/// Bytes that may wait.
const MOST_BYTES: usize = 64 << 20;

/// Sends records by OTLP. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Records {
    provider: SdkLoggerProvider,
    sent: Arc<Sent>,
}

/// Sends records of a scope.
#[derive(Debug)]
pub struct Sender {
    logger: SdkLogger,
    sent: Arc<Sent>,
}

/// What became of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// A receiver has these.
    pub taken: u64,
    /// No receiver took these.
    pub lost: u64,
}

/// What is on its way.
#[derive(Debug)]
struct Sent {
    /// Records that may wait: as many as the SDK's queue has room for.
    most: usize,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    bytes: usize,
    ended: Ended,
}

impl Records {
    /// Records go there, in batches; at most `most` wait.
    pub(crate) fn new(exporter: impl LogExporter + 'static, resource: Resource, most: usize) -> Self {
        let sent = Arc::new(Sent { most, state: Mutex::default(), ended: Condvar::new() });
        let batches = BatchConfigBuilder::default().with_max_queue_size(most).build();
        let exporter = Counted { exporter, sent: sent.clone() };
        let processor = BatchLogProcessor::builder(exporter).with_batch_config(batches).build();
        let provider =
            SdkLoggerProvider::builder().with_log_processor(processor).with_resource(resource).build();
        Self { provider, sent }
    }

    /// Sends records of this scope.
    pub fn sender(&self, scope: &'static str) -> Sender {
        Sender { logger: self.provider.logger(scope), sent: self.sent.clone() }
    }

    /// Sends what waits.
    pub(crate) fn shutdown(&self) -> OTelSdkResult {
        self.provider.shutdown()
    }
}

impl Sender {
    /// An empty record.
    pub fn record(&self) -> SdkLogRecord {
        self.logger.create_log_record()
    }

    /// Sends a record. Waits as long as there is no room for it, which may be as long as there is no receiver: called by a
    /// thread that nobody waits for.
    pub fn send(&self, record: SdkLogRecord) {
        let bytes = bytes(&record);
        let has_room = |state: &State| {
            state.waiting < self.sent.most && (state.bytes == 0 || state.bytes + bytes <= MOST_BYTES)
        };
        let mut state = self.sent.state();
        while !has_room(&state) {
            state = self.sent.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting += 1;
        state.bytes += bytes;
        drop(state);
        self.logger.emit(record);
    }

    /// What became of records since this was last asked.
    pub fn ended(&self) -> Ended {
        std::mem::take(&mut self.sent.state().ended)
    }

    /// Whether there are records of which nobody knows yet what becomes of them.
    pub fn has_waiting(&self) -> bool {
        self.sent.state().waiting > 0
    }
}

impl Sent {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a record takes of memory, as far as it matters.
fn bytes(record: &SdkLogRecord) -> usize {
    match record.body() {
        Some(AnyValue::String(text)) => text.as_str().len(),
        _ => 0,
    }
}

/// Counts what is exported.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    sent: Arc<Sent>,
}

impl<E: LogExporter> LogExporter for Counted<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let (records, bytes) =
            batch.iter().fold((0, 0), |(records, sum), (record, _)| (records + 1, sum + bytes(record)));
        let exported = self.exporter.export(batch).await;
        let mut state = self.sent.state();
        state.waiting = state.waiting.saturating_sub(records);
        state.bytes = state.bytes.saturating_sub(bytes);
        let ended = if exported.is_ok() { &mut state.ended.taken } else { &mut state.ended.lost };
        *ended += records as u64;
        drop(state);
        self.sent.ended.notify_all();
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn event_enabled(&self, level: Severity, target: &str, name: Option<&str>) -> bool {
        self.exporter.event_enabled(level, target, name)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use opentelemetry::logs::LogRecord as _;
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    /// Takes a batch when it is told to, or not.
    #[derive(Debug)]
    struct Told(Mutex<Receiver<bool>>);

    impl LogExporter for Told {
        async fn export(&self, _: LogBatch<'_>) -> OTelSdkResult {
            match self.0.lock().unwrap().recv() {
                Ok(true) => Ok(()),
                _ => Err(OTelSdkError::InternalFailure("not taken".to_owned())),
            }
        }
    }

    #[test]
    fn every_record_is_accounted_for() {
        let (tell, told) = channel();
        let records = Records::new(Told(Mutex::new(told)), Resource::builder_empty().build(), 4);
        let sender = records.sender("test");
        let send = |text: String| {
            let mut record = sender.record();
            record.set_body(text.into());
            sender.send(record);
        };
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| (0..10).for_each(|i| send(i.to_string())));
            // The first batches fail, the rest is taken.
            let mut ended = Ended::default();
            while ended.lost == 0 {
                let _ = tell.send(false);
                std::thread::sleep(Duration::from_millis(1));
                ended.lost += sender.ended().lost;
            }
            while ended.taken + ended.lost < 10 {
                assert!(sender.sent.state().waiting <= 4);
                let _ = tell.send(true);
                std::thread::sleep(Duration::from_millis(1));
                let more = sender.ended();
                ended = Ended { taken: ended.taken + more.taken, lost: ended.lost + more.lost };
            }
            assert_eq!(ended.taken + ended.lost, 10);
            sending.join().unwrap();
        });
        assert!(!sender.has_waiting());
        assert_eq!(sender.sent.state().bytes, 0);
    }

    #[test]
    fn what_waits_is_bounded_by_bytes() {
        let (tell, told) = channel();
        let records = Records::new(Told(Mutex::new(told)), Resource::builder_empty().build(), 100);
        let sender = records.sender("test");
        let text = "x".repeat(MOST_BYTES / 2);
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                for _ in 0..3 {
                    let mut record = sender.record();
                    record.set_body(text.clone().into());
                    sender.send(record);
                }
            });
            while sender.sent.state().waiting < 2 {
                std::thread::sleep(Duration::from_millis(1));
            }
            // The third has no room, however long that takes.
            std::thread::sleep(Duration::from_millis(20));
            assert!(sender.sent.state().bytes <= MOST_BYTES);
            assert!(!sending.is_finished());
            for _ in 0..3 {
                tell.send(true).unwrap();
            }
            sending.join().unwrap();
        });
        records.shutdown().unwrap();
        assert_eq!(sender.ended(), Ended { taken: 3, lost: 0 });
    }
}
