//! Metrics of the snapshot and its sources.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use gavel_engine::object::Kind;
use gavel_source::cluster::{Breakage, WATCHED};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::publisher::Publisher;
use crate::status::SourceState;

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

/// Bounds in seconds: one change takes microseconds, the first snapshot of a large cluster seconds.
const BUILDS: [f64; 12] = [5e-6, 2.5e-5, 1e-4, 5e-4, 2.5e-3, 1e-2, 5e-2, 2.5e-1, 1.0, 5.0, 25.0, 100.0];

/// Metrics of the snapshot and its sources.
#[derive(Debug)]
pub(super) struct SnapshotMetrics {
    revision: Gauge,
    age: Gauge<f64, AtomicU64>,
    staleness: Gauge<f64, AtomicU64>,
    builds: Histogram,
    objects: Family<KindLabel, Gauge>,
    source_up: Family<SourceLabel, Gauge>,
    source_staleness: Family<SourceLabel, Gauge<f64, AtomicU64>>,
    findings: Family<SourceLabel, Gauge>,
    breakages: Family<BreakageLabels, Counter>,
    store_failures: Counter,
}

impl SnapshotMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            revision: Gauge::default(),
            age: Gauge::default(),
            staleness: Gauge::default(),
            builds: Histogram::new(BUILDS),
            objects: Family::default(),
            source_up: Family::default(),
            source_staleness: Family::default(),
            findings: Family::default(),
            breakages: Family::default(),
            store_failures: Counter::default(),
        };
        let seconds = Unit::Seconds;
        registry.register(
            "snapshot_revision",
            "Revision of the snapshot that answers",
            metrics.revision.clone(),
        );
        registry.register_with_unit(
            "snapshot_age",
            "Time since the snapshot that answers was made",
            seconds.clone(),
            metrics.age.clone(),
        );
        registry.register_with_unit(
            "snapshot_staleness",
            "Time since the snapshot was last known to be what its source has",
            seconds.clone(),
            metrics.staleness.clone(),
        );
        registry.register_with_unit(
            "snapshot_build_duration",
            "Time to fold changes into the next snapshot",
            seconds.clone(),
            metrics.builds.clone(),
        );
        registry.register("snapshot_objects", "Objects in the snapshot, by kind", metrics.objects.clone());
        registry.register("source_up", "1 when the source is well", metrics.source_up.clone());
        registry.register_with_unit(
            "source_staleness",
            "Time since the source was last heard from",
            seconds,
            metrics.source_staleness.clone(),
        );
        registry.register(
            "source_errors",
            "What is wrong with objects and files of the source that were refused or set aside",
            metrics.findings.clone(),
        );
        registry.register(
            "watch_breakages",
            "Watches that broke, by kind and reason",
            metrics.breakages.clone(),
        );
        registry.register(
            "store_failures",
            "Times that what was published could not be kept on disk",
            metrics.store_failures.clone(),
        );
        for kind in WATCHED {
            for reason in Breakage::ALL {
                let labels = BreakageLabels { kind: kind.as_str(), reason: reason.as_str() };
                // From 0: a rate can be made of the first one.
                drop(metrics.breakages.get_or_create(&labels));
            }
        }
        metrics
    }

    /// A snapshot was built.
    pub(super) fn built(&self, took: Duration) {
        self.builds.observe(took.as_secs_f64());
    }

    /// A watch broke.
    pub(super) fn watch_broke(&self, kind: Kind, reason: Breakage) {
        self.breakages.get_or_create(&BreakageLabels { kind: kind.as_str(), reason: reason.as_str() }).inc();
    }

    /// What was published could not be kept.
    pub(super) fn store_failed(&self) {
        self.store_failures.inc();
    }

    /// Sets the gauges to what is now.
    pub(super) fn read(&self, publisher: &Publisher) {
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
    }
}
