//! Prometheus metrics. Labels are closed sets: no name of a cluster ever becomes one.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::publisher::{Publisher, SourceState};

/// The calls that decide something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rpc {
    Admit,
    CheckFlow,
    Authorize,
}

impl Rpc {
    pub(crate) const ALL: [Self; 3] = [Rpc::Admit, Rpc::CheckFlow, Rpc::Authorize];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Rpc::Admit => "Admit",
            Rpc::CheckFlow => "CheckFlow",
            Rpc::Authorize => "Authorize",
        }
    }
}

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    Allow,
    Deny,
    Error,
}

impl Verdict {
    const ALL: [Self; 3] = [Verdict::Allow, Verdict::Deny, Verdict::Error];

    pub(crate) const fn of(allowed: bool) -> Self {
        if allowed { Verdict::Allow } else { Verdict::Deny }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Verdict::Allow => "allow",
            Verdict::Deny => "deny",
            Verdict::Error => "error",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    rpc: &'static str,
    verdict: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RpcLabel {
    rpc: &'static str,
}

/// Bounds of the decision time, in seconds: decisions take microseconds.
const BUCKETS: [f64; 14] =
    [2.5e-7, 5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 1e-2, 1e-1];

/// One child of each family, looked up once and not for every decision.
#[derive(Debug)]
struct RpcMetrics {
    verdicts: [Counter; 3],
    seconds: Histogram,
}

/// The server's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    rpcs: [RpcMetrics; 3],
    revision: Gauge,
    age: Gauge<f64, AtomicU64>,
    source_up: Gauge,
    findings: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("gavel");
        let decisions = Family::<DecisionLabels, Counter>::default();
        let seconds = Family::<RpcLabel, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let rpcs = Rpc::ALL.map(|rpc| RpcMetrics {
            verdicts: Verdict::ALL.map(|verdict| {
                decisions
                    .get_or_create(&DecisionLabels { rpc: rpc.as_str(), verdict: verdict.as_str() })
                    .clone()
            }),
            seconds: seconds.get_or_create(&RpcLabel { rpc: rpc.as_str() }).clone(),
        });
        let (revision, age, source_up, findings) =
            (Gauge::default(), Gauge::<f64, AtomicU64>::default(), Gauge::default(), Gauge::default());
        registry.register("decisions", "Questions answered, by call and verdict", decisions);
        registry.register_with_unit("decision", "Time to decide, without transport", Unit::Seconds, seconds);
        registry.register("snapshot_revision", "Revision of the snapshot that answers", revision.clone());
        registry.register_with_unit(
            "snapshot_age",
            "Age of the snapshot that answers",
            Unit::Seconds,
            age.clone(),
        );
        registry.register("source_up", "1 when the last reading of the source was good", source_up.clone());
        registry.register("source_errors", "Objects and files refused in the last reading", findings.clone());
        Self { registry, rpcs, revision, age, source_up, findings }
    }

    /// Counts one answer.
    pub(crate) fn decided(&self, rpc: Rpc, verdict: Verdict, took: Duration) {
        let metrics = &self.rpcs[rpc as usize];
        metrics.verdicts[verdict as usize].inc();
        metrics.seconds.observe(took.as_secs_f64());
    }

    /// The metrics in the OpenMetrics text format, with the gauges as they are now.
    pub(crate) fn encode(&self, publisher: &Publisher) -> Result<String, std::fmt::Error> {
        if let Some(published) = publisher.current().as_deref().and_then(Option::as_ref) {
            self.revision.set(i64::try_from(published.snapshot.revision()).unwrap_or(i64::MAX));
            self.age.set(published.created.elapsed().as_secs_f64());
        }
        let source = publisher.source();
        self.source_up.set(i64::from(source.state == SourceState::Synced));
        let errors = source.findings.iter().filter(|finding| finding.is_error).count();
        self.findings.set(i64::try_from(errors).unwrap_or(i64::MAX));
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.registry)?;
        Ok(encoded)
    }
}
