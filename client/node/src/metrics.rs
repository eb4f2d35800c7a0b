//! Prometheus metrics. Labels are closed sets: no name and no address ever becomes one.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::queue::Counters;

/// A closed set, whose values are words of labels.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$value_doc])* $value,)* }

        impl $name {
            /// All of them, in order.
            const ALL: [Self; [$($text),*].len()] = [$(Self::$value),*];

            /// The word.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text),* }
            }
        }
    };
}

labels! {
    /// What a verdict comes from.
    By {
        /// A server's answer.
        Server = "server",
        /// An answer that was kept.
        Cache = "cache",
        /// `--on-unavailable`: no server answered in time.
        Setting = "setting",
        /// The server does not know the pod yet.
        Hold = "hold",
    }
}

labels! {
    /// Why a packet is refused whatever policies say.
    Refused {
        /// It came by an interface where its source is not.
        Spoofed = "spoofed",
        /// It belongs to no connection, and begins none.
        Invalid = "invalid",
        NotIp = "not_ip",
        Fragment = "fragment",
        Truncated = "truncated",
        /// A protocol that policies do not speak of: `--other-protocols`.
        Protocol = "protocol",
        PortZero = "port_zero",
        SourceRoute = "source_route",
    }
}

labels! {
    /// What became of an attempt.
    Outcome {
        Done = "done",
        Failed = "failed",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    verdict: &'static str,
    by: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByLabel {
    by: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Bounds of the time from a packet's arrival to its verdict, in seconds: a look-up, up to a server that does not answer.
const BUCKETS: [f64; 14] =
    [5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 1e-2, 5e-2, 0.25, 1.0, 5.0];

/// The agent's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    decisions: Family<DecisionLabels, Counter>,
    seconds: Family<ByLabel, Histogram>,
    refused: Family<ReasonLabel, Counter>,
    other_protocols: Counter,
    cached: Gauge,
    queue_waiting: Gauge,
    queue_full: Counter,
    queue_lost: Counter,
    server_up: Gauge,
    revision: Gauge,
    pods: Gauge,
    isolated: Gauge,
    held: Gauge,
    rules: Family<OutcomeLabel, Counter>,
    cut: Counter,
    cut_failures: Counter,
    log_dropped: Counter,
}

fn verdict(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("gavel_node"),
            decisions: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            refused: Family::default(),
            other_protocols: Counter::default(),
            cached: Gauge::default(),
            queue_waiting: Gauge::default(),
            queue_full: Counter::default(),
            queue_lost: Counter::default(),
            server_up: Gauge::default(),
            revision: Gauge::default(),
            pods: Gauge::default(),
            isolated: Gauge::default(),
            held: Gauge::default(),
            rules: Family::default(),
            cut: Counter::default(),
            cut_failures: Counter::default(),
            log_dropped: Counter::default(),
        };
        // So that every series is there from the start, and an increase from nothing is seen.
        for by in By::ALL.map(By::as_str) {
            for verdict in [true, false].map(verdict) {
                drop(metrics.decisions.get_or_create(&DecisionLabels { verdict, by }));
            }
            drop(metrics.seconds.get_or_create(&ByLabel { by }));
        }
        for reason in Refused::ALL.map(Refused::as_str) {
            drop(metrics.refused.get_or_create(&ReasonLabel { reason }));
        }
        for outcome in Outcome::ALL.map(Outcome::as_str) {
            drop(metrics.rules.get_or_create(&OutcomeLabel { outcome }));
        }
        metrics.register_packets();
        metrics.register_state();
        metrics
    }

    fn register_packets(&mut self) {
        let Self { registry, decisions, seconds, refused, other_protocols, cached, .. } = self;
        registry.register(
            "decisions",
            "First packets of connections that were let pass or dropped, and what by",
            decisions.clone(),
        );
        let help = "Time from a packet's arrival to its verdict";
        registry.register_with_unit("decision_duration", help, Unit::Seconds, seconds.clone());
        registry.register(
            "refused_packets",
            "Packets that were dropped whatever policies say, by reason",
            refused.clone(),
        );
        registry.register(
            "other_protocol_packets",
            "Packets of protocols that policies do not speak of that were let pass",
            other_protocols.clone(),
        );
        registry.register("cached_answers", "Answers that one of the workers keeps", cached.clone());
        let Self { queue_waiting, queue_full, queue_lost, log_dropped, .. } = self;
        registry.register("queue_packets", "Packets that wait for a verdict", queue_waiting.clone());
        registry.register(
            "queue_full",
            "Packets that found their queue full and were dropped; with --on-unavailable allow they pass, and nobody counts",
            queue_full.clone(),
        );
        registry.register(
            "queue_lost",
            "Packets that the kernel could not hand over, and dropped",
            queue_lost.clone(),
        );
        registry.register("flow_log_dropped", "Lines that the flow log had no room for", log_dropped.clone());
    }

    fn register_state(&mut self) {
        let Self { registry, server_up, revision, pods, isolated, held, rules, cut, cut_failures, .. } = self;
        registry.register("server_up", "1 while a server answers, else 0", server_up.clone());
        registry.register("snapshot_revision", "Revision of the server's snapshot", revision.clone());
        registry.register("pods", "Pods of this node that policies could isolate", pods.clone());
        registry.register("isolated_pods", "Pods of this node that policies isolate", isolated.clone());
        registry.register("held_pods", "Pods whose traffic waits until the server knows them", held.clone());
        registry.register(
            "rule_installs",
            "Times that the kernel's rules were written, by outcome",
            rules.clone(),
        );
        registry.register(
            "connections_cut",
            "Connections that were cut, as policies allow them no longer",
            cut.clone(),
        );
        registry.register(
            "cut_failures",
            "Times that connections could not be looked through or cut",
            cut_failures.clone(),
        );
    }

    pub(crate) fn decided(&self, allowed: bool, by: By, took: Duration) {
        let (verdict, by) = (verdict(allowed), by.as_str());
        self.decisions.get_or_create(&DecisionLabels { verdict, by }).inc();
        self.seconds.get_or_create(&ByLabel { by }).observe(took.as_secs_f64());
    }

    pub(crate) fn refused(&self, why: Refused) {
        self.refused.get_or_create(&ReasonLabel { reason: why.as_str() }).inc();
    }

    pub(crate) fn passed_other_protocol(&self) {
        self.other_protocols.inc();
    }

    pub(crate) fn cached(&self, answers: usize) {
        self.cached.set(to_gauge(answers));
    }

    pub(crate) fn log_dropped(&self) {
        self.log_dropped.inc();
    }

    pub(crate) fn server(&self, is_up: bool) {
        self.server_up.set(is_up.into());
    }

    pub(crate) fn revision(&self, revision: u64) {
        self.revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
    }

    pub(crate) fn pods(&self, all: usize, isolated: usize) {
        self.pods.set(to_gauge(all));
        self.isolated.set(to_gauge(isolated));
    }

    pub(crate) fn held(&self, pods: usize) {
        self.held.set(to_gauge(pods));
    }

    pub(crate) fn installed(&self, outcome: Outcome) {
        self.rules.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }).inc();
    }

    pub(crate) fn cut(&self, connections: usize) {
        self.cut.inc_by(connections as u64);
    }

    pub(crate) fn cut_failed(&self) {
        self.cut_failures.inc();
    }

    /// The metrics in the OpenMetrics text format, with what the kernel counts now.
    pub(crate) fn encode(&self, queues: Counters) -> Result<String, std::fmt::Error> {
        use std::sync::atomic::Ordering::Relaxed;
        self.queue_waiting.set(i64::try_from(queues.waiting).unwrap_or(i64::MAX));
        // They begin anew with the queues, as counters do with their process.
        self.queue_full.inner().store(queues.full, Relaxed);
        self.queue_lost.inner().store(queues.lost, Relaxed);
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.registry)?;
        Ok(encoded)
    }
}

fn to_gauge(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_is_every_metric_that_an_alert_looks_at() {
        let rules = include_str!("../../../deploy/observability/node-rules.yaml");
        let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let words = rules.split(|character| !is_part(character));
        let named: BTreeSet<&str> = words.filter(|word| word.starts_with("gavel_node_")).collect();
        assert!(named.len() > 5, "{named:?}");
        let text = Metrics::new().encode(Counters::default()).unwrap();
        for name in named {
            let is_it = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
            assert!(text.lines().any(is_it), "there is no {name} in\n{text}");
        }
    }
}
