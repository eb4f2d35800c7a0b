//! Prometheus metrics. Labels are closed sets: no name of a cluster ever becomes one.

mod calls;
mod labels;
mod process;
mod snapshot;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use gavel_engine::object::Kind;
use gavel_source::cluster::Breakage;
use prometheus_client::encoding::text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tonic::Code;

use crate::publisher::Publisher;
use calls::Calls;
pub(crate) use labels::{ConnectionRejection, Decides, RecordResult, Rejection, Rpc, Verdict};
use process::Process;
use snapshot::SnapshotMetrics;
pub(crate) use standing::Standing;

/// The server's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    calls: Calls,
    snapshot: SnapshotMetrics,
    standing: Arc<standing::Slot>,
}

impl Metrics {
    /// `looks_at_admissions`: whether an evaluator is switched on.
    pub(crate) fn new(looks_at_admissions: bool) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let gavel = registry.sub_registry_with_prefix("gavel");
        let build = Family::<_, Gauge>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        gavel.register("build_info", "1, with the version as a label", build);
        let calls = Calls::register(gavel, looks_at_admissions);
        let snapshot = SnapshotMetrics::register(gavel);
        let standing = Arc::new(standing::Slot::default());
        gavel.register_collector(Box::new(standing.clone()));
        Self { registry, calls, snapshot, standing }
    }

    /// Where what stands at the moment is read from now on.
    pub(crate) fn watch(&self, standing: Standing) {
        // Once: there is one server for these metrics.
        let _ = self.standing.0.set(standing);
    }

    /// Counts one answer.
    pub(crate) fn decided(&self, decides: Decides, verdict: Verdict, took: Duration) {
        self.calls.decided(decides, verdict, took);
    }

    /// A call begins.
    pub(crate) fn rpc_started(&self) {
        self.calls.started();
    }

    /// A call has ended, with the last byte of its answer, or because its caller went away.
    pub(crate) fn rpc_ended(&self, rpc: Rpc, code: Code, took: Duration) {
        self.calls.ended(rpc, code, took);
    }

    /// A request was not let in.
    pub(crate) fn rejected(&self, why: Rejection) {
        self.calls.rejected(why);
    }

    /// A connection was not taken, or cut.
    pub(crate) fn connection_rejected(&self, why: ConnectionRejection) {
        self.calls.connection_rejected(why);
    }

    /// New files of a certificate cannot be used.
    pub(crate) fn tls_reload_failed(&self) {
        self.calls.reload_failed();
    }

    /// So many records of the decision log were written, or not.
    pub(crate) fn recorded(&self, result: RecordResult, records: u64) {
        self.calls.recorded(result, records);
    }

    /// A snapshot was built.
    pub(crate) fn built(&self, took: Duration) {
        self.snapshot.built(took);
    }

    /// A watch broke.
    pub(crate) fn watch_broke(&self, kind: Kind, reason: Breakage) {
        self.snapshot.watch_broke(kind, reason);
    }

    /// What was published could not be kept.
    pub(crate) fn store_failed(&self) {
        self.snapshot.store_failed();
    }

    /// The metrics in the OpenMetrics text format, with the gauges as they are now.
    pub(crate) fn encode(&self, publisher: &Publisher) -> Result<String, std::fmt::Error> {
        self.snapshot.read(publisher);
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.registry)?;
        Ok(encoded)
    }
}
