//! Prometheus metrics. Labels are closed sets: no name of a cluster ever becomes one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use gavel_client::Balanced;
use gavel_client::balanced::State;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The two webhooks of one deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Mutate,
    Validate,
}

impl Path {
    const ALL: [Self; 2] = [Path::Mutate, Path::Validate];

    const fn as_str(self) -> &'static str {
        match self {
            Path::Mutate => "mutate",
            Path::Validate => "validate",
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Decided: admitted.
    Allowed,
    /// Decided: refused.
    Denied,
    /// The object in the review cannot be read.
    InvalidObject,
    /// No server answered in time.
    Unavailable,
    /// A server answered with an error.
    Failed,
    /// No AdmissionReview that can be read.
    BadRequest,
    /// Larger than `--max-request-bytes`.
    TooLarge,
    /// Not a POST.
    WrongMethod,
}

impl Outcome {
    const ALL: [Self; 8] = [
        Outcome::Allowed,
        Outcome::Denied,
        Outcome::InvalidObject,
        Outcome::Unavailable,
        Outcome::Failed,
        Outcome::BadRequest,
        Outcome::TooLarge,
        Outcome::WrongMethod,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Outcome::Allowed => "allowed",
            Outcome::Denied => "denied",
            Outcome::InvalidObject => "invalid_object",
            Outcome::Unavailable => "unavailable",
            Outcome::Failed => "failed",
            Outcome::BadRequest => "bad_request",
            Outcome::TooLarge => "too_large",
            Outcome::WrongMethod => "wrong_method",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    path: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PathLabel {
    path: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// Bounds of the time of an answer, in seconds: a decision over a local network, up to the longest `timeoutSeconds`.
const BUCKETS: [f64; 13] = [2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// The webhook's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    reviews: Family<ReviewLabels, Counter>,
    seconds: Family<PathLabel, Histogram>,
    unavailable: Counter,
    retries: Counter,
    reloads: Family<ResultLabel, Counter>,
    expiry: Gauge,
    servers_known: Gauge,
    servers_good: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("gavel_webhook");
        let reviews = Family::<ReviewLabels, Counter>::default();
        let seconds = Family::<PathLabel, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let reloads = Family::<ResultLabel, Counter>::default();
        let (unavailable, retries) = (Counter::default(), Counter::default());
        let (expiry, servers_known, servers_good) = (Gauge::default(), Gauge::default(), Gauge::default());
        // So that every series is there from the start, and an increase from nothing is seen.
        for path in Path::ALL.map(Path::as_str) {
            for outcome in Outcome::ALL.map(Outcome::as_str) {
                drop(reviews.get_or_create(&ReviewLabels { path, outcome }));
            }
            drop(seconds.get_or_create(&PathLabel { path }));
        }
        for result in ["good", "bad"] {
            drop(reloads.get_or_create(&ResultLabel { result }));
        }
        registry.register("reviews", "Requests answered, by path and outcome", reviews.clone());
        registry.register_with_unit("review", "Time to answer a request", Unit::Seconds, seconds.clone());
        registry.register(
            "unavailable",
            "Reviews answered by --on-unavailable, as no server answered in time",
            unavailable.clone(),
        );
        registry.register(
            "retries",
            "Attempts after a replica of the server had not answered the same review",
            retries.clone(),
        );
        registry.register(
            "certificate_reloads",
            "Certificates that changed: taken, or not usable so that the old one stays",
            reloads.clone(),
        );
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "When the certificate that is served ends, since 1970; 0 while there is none",
            Unit::Seconds,
            expiry.clone(),
        );
        registry.register("servers_known", "Replicas of the server that are known", servers_known.clone());
        registry.register("servers_good", "Replicas of the server that serve", servers_good.clone());
        Self {
            registry,
            reviews,
            seconds,
            unavailable,
            retries,
            reloads,
            expiry,
            servers_known,
            servers_good,
        }
    }

    /// Counts one answer.
    pub(crate) fn answered(&self, path: Path, outcome: Outcome, took: Duration) {
        let path = path.as_str();
        self.reviews.get_or_create(&ReviewLabels { path, outcome: outcome.as_str() }).inc();
        self.seconds.get_or_create(&PathLabel { path }).observe(took.as_secs_f64());
        if outcome == Outcome::Unavailable {
            self.unavailable.inc();
        }
    }

    /// Counts a certificate that changed.
    pub(crate) fn reloaded(&self, is_good: bool) {
        self.reloads.get_or_create(&ResultLabel { result: if is_good { "good" } else { "bad" } }).inc();
    }

    /// The metrics in the OpenMetrics text format, with the gauges as they are now.
    pub(crate) fn encode(&self, servers: &Balanced, expires: Option<i64>) -> Result<String, std::fmt::Error> {
        let replicas = servers.replicas();
        let good = replicas.iter().filter(|replica| replica.state == State::Good).count();
        self.servers_known.set(i64::try_from(replicas.len()).unwrap_or(i64::MAX));
        self.servers_good.set(i64::try_from(good).unwrap_or(i64::MAX));
        self.retries.inner().store(servers.retries(), Ordering::Relaxed);
        self.expiry.set(expires.unwrap_or_default());
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.registry)?;
        Ok(encoded)
    }
}
