//! Prometheus metrics. Labels are closed sets: no name of a cluster ever becomes one.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use gavel_engine::object::Kind;
use gavel_source::cluster::{Breakage, WATCHED};

use crate::publisher::Publisher;
use crate::status::SourceState;

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BreakageLabels {
    kind: &'static str,
    reason: &'static str,
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
    staleness: Gauge<f64, AtomicU64>,
    objects: Family<KindLabel, Gauge>,
    source_up: Family<SourceLabel, Gauge>,
    source_staleness: Family<SourceLabel, Gauge<f64, AtomicU64>>,
    findings: Family<SourceLabel, Gauge>,
    breakages: Family<BreakageLabels, Counter>,
    store_failures: Counter,
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
        registry.register("decisions", "Questions answered, by call and verdict", decisions);
        registry.register_with_unit("decision", "Time to decide, without transport", Unit::Seconds, seconds);
        let metrics = Self {
            rpcs,
            revision: Gauge::default(),
            age: Gauge::default(),
            staleness: Gauge::default(),
            objects: Family::default(),
            source_up: Family::default(),
            source_staleness: Family::default(),
            findings: Family::default(),
            breakages: Family::default(),
            store_failures: Counter::default(),
            registry,
        };
        metrics.register_state()
    }

    /// The snapshot, and its sources.
    fn register_state(mut self) -> Self {
        let registry = &mut self.registry;
        let seconds = Unit::Seconds;
        registry.register(
            "snapshot_revision",
            "Revision of the snapshot that answers",
            self.revision.clone(),
        );
        registry.register_with_unit(
            "snapshot_age",
            "Time since the snapshot that answers was made",
            seconds.clone(),
            self.age.clone(),
        );
        registry.register_with_unit(
            "snapshot_staleness",
            "Time since the snapshot was last known to be what its source has",
            seconds.clone(),
            self.staleness.clone(),
        );
        registry.register("snapshot_objects", "Objects in the snapshot, by kind", self.objects.clone());
        registry.register("source_up", "1 when the source is well", self.source_up.clone());
        registry.register_with_unit(
            "source_staleness",
            "Time since the source was last heard from",
            seconds,
            self.source_staleness.clone(),
        );
        registry.register(
            "source_errors",
            "What is wrong with objects and files of the source that were refused or set aside",
            self.findings.clone(),
        );
        registry.register(
            "watch_breakages",
            "Watches that broke, by kind and reason",
            self.breakages.clone(),
        );
        registry.register(
            "store_failures",
            "Times that what was published could not be kept on disk",
            self.store_failures.clone(),
        );
        for kind in WATCHED {
            for reason in Breakage::ALL {
                let labels = BreakageLabels { kind: kind.as_str(), reason: reason.as_str() };
                // From 0: a rate can be made of the first one.
                drop(self.breakages.get_or_create(&labels));
            }
        }
        self
    }

    /// A watch broke.
    pub(crate) fn watch_broke(&self, kind: Kind, reason: Breakage) {
        self.breakages.get_or_create(&BreakageLabels { kind: kind.as_str(), reason: reason.as_str() }).inc();
    }

    /// What was published could not be kept.
    pub(crate) fn store_failed(&self) {
        self.store_failures.inc();
    }

    /// Counts one answer.
    pub(crate) fn decided(&self, rpc: Rpc, verdict: Verdict, took: Duration) {
        let metrics = &self.rpcs[rpc as usize];
        metrics.verdicts[verdict as usize].inc();
        metrics.seconds.observe(took.as_secs_f64());
    }

    /// The metrics in the OpenMetrics text format, with the gauges as they are now.
    pub(crate) fn encode(&self, publisher: &Publisher) -> Result<String, std::fmt::Error> {
        if let Some(published) = publisher.published() {
            self.revision.set(i64::try_from(published.snapshot.revision()).unwrap_or(i64::MAX));
            self.age.set(published.created.elapsed().as_secs_f64());
            self.objects.clear();
            for (kind, count) in published.snapshot.counts() {
                let gauge = self.objects.get_or_create(&KindLabel { kind: kind.as_str() });
                gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        self.staleness.set(publisher.staleness().unwrap_or_default().as_secs_f64());
        for source in publisher.sources() {
            let label = SourceLabel { source: source.name.clone() };
            let is_up = matches!(source.state, SourceState::Synced | SourceState::Absent);
            self.source_up.get_or_create(&label).set(i64::from(is_up));
            let errors = i64::try_from(source.errors()).unwrap_or(i64::MAX);
            self.findings.get_or_create(&label).set(errors);
            if let Some(heard) = source.heard {
                self.source_staleness.get_or_create(&label).set(heard.elapsed().as_secs_f64());
            }
        }
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.registry)?;
        Ok(encoded)
    }
}
