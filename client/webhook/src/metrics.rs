//! Prometheus metrics. Labels are closed sets: no name of a cluster ever becomes one.

use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

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

    pub(crate) const fn route(self) -> &'static str {
        match self {
            Path::Mutate => "/mutate",
            Path::Validate => "/validate",
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
    /// One too many at a time.
    Overloaded,
}

impl Outcome {
    const ALL: [Self; 9] = [
        Outcome::Allowed,
        Outcome::Denied,
        Outcome::InvalidObject,
        Outcome::Unavailable,
        Outcome::Failed,
        Outcome::BadRequest,
        Outcome::TooLarge,
        Outcome::WrongMethod,
        Outcome::Overloaded,
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
            Outcome::Overloaded => "overloaded",
        }
    }
}

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// There are `--max-connections`.
    Limit,
    /// There are `--max-connections-per-address` of its address.
    AddressLimit,
    /// TLS could not be agreed on, or the caller's certificate is not one to ask with.
    HandshakeFailed,
    /// TLS took too long.
    HandshakeTimeout,
}

impl Turned {
    const ALL: [Self; 4] =
        [Turned::Limit, Turned::AddressLimit, Turned::HandshakeFailed, Turned::HandshakeTimeout];

    const fn as_str(self) -> &'static str {
        match self {
            Turned::Limit => "limit",
            Turned::AddressLimit => "address_limit",
            Turned::HandshakeFailed => "handshake_failed",
            Turned::HandshakeTimeout => "handshake_timeout",
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
struct ReasonLabel {
    reason: &'static str,
}

/// Bounds of the time of an answer, in seconds: a decision over a local network, up to the longest `timeoutSeconds`.
const BUCKETS: [f64; 13] = [2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// The webhook's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    reviews: Family<ReviewLabels, Counter>,
    seconds: Family<PathLabel, Histogram>,
    in_flight: Gauge,
    connections: Gauge,
    turned_away: Family<ReasonLabel, Counter>,
    unavailable: Counter,
    retries: Counter,
    tls_reloads: Counter,
    tls_reload_failures: Counter,
    tls_expiry: Gauge,
    credential_reloads: Counter,
    credential_reload_failures: Counter,
    credentials_refused: Gauge,
    client_expiry: Gauge,
    servers_known: Gauge,
    servers_good: Gauge,
}

/// Adds one to a gauge, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Counted {
    fn of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("gavel_webhook"),
            reviews: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            turned_away: Family::default(),
            unavailable: Counter::default(),
            retries: Counter::default(),
            tls_reloads: Counter::default(),
            tls_reload_failures: Counter::default(),
            tls_expiry: Gauge::default(),
            credential_reloads: Counter::default(),
            credential_reload_failures: Counter::default(),
            credentials_refused: Gauge::default(),
            client_expiry: Gauge::default(),
            servers_known: Gauge::default(),
            servers_good: Gauge::default(),
        };
        // So that every series is there from the start, and an increase from nothing is seen.
        for path in Path::ALL.map(Path::as_str) {
            for outcome in Outcome::ALL.map(Outcome::as_str) {
                drop(metrics.reviews.get_or_create(&ReviewLabels { path, outcome }));
            }
            drop(metrics.seconds.get_or_create(&PathLabel { path }));
        }
        for reason in Turned::ALL.map(Turned::as_str) {
            drop(metrics.turned_away.get_or_create(&ReasonLabel { reason }));
        }
        metrics.register_callers();
        metrics.register_servers();
        metrics
    }

    fn register_callers(&mut self) {
        let Self { registry, reviews, seconds, in_flight, connections, turned_away, unavailable, .. } = self;
        registry.register("reviews", "Requests answered, by path and outcome", reviews.clone());
        let help = "Time to answer a request";
        registry.register_with_unit("review_duration", help, Unit::Seconds, seconds.clone());
        registry.register("reviews_in_flight", "Requests that are being answered", in_flight.clone());
        registry.register(
            "unavailable",
            "Reviews answered by --on-unavailable, as no server answered in time",
            unavailable.clone(),
        );
        registry.register("connections", "Connections that are open", connections.clone());
        registry.register(
            "connections_rejected",
            "Connections that were closed before any request, by reason",
            turned_away.clone(),
        );
        let Self { tls_reloads, tls_reload_failures, tls_expiry, .. } = self;
        registry.register(
            "tls_reloads",
            "Changed certificates to serve with, or authorities of callers, that were taken",
            tls_reloads.clone(),
        );
        registry.register(
            "tls_reload_failures",
            "Changed certificates to serve with, or authorities of callers, that cannot be used: the old ones stay",
            tls_reload_failures.clone(),
        );
        registry.register_with_unit(
            "tls_certificate_expiry_timestamp",
            "When the certificate that is served ends, since 1970; 0 while there is none",
            Unit::Seconds,
            tls_expiry.clone(),
        );
    }

    fn register_servers(&mut self) {
        let Self { registry, retries, servers_known, servers_good, .. } = self;
        registry.register(
            "retries",
            "Attempts after a replica of the server had not answered the same review",
            retries.clone(),
        );
        registry.register("servers_known", "Replicas of the server that are known", servers_known.clone());
        registry.register("servers_good", "Replicas of the server that serve", servers_good.clone());
        let Self {
            credential_reloads, credential_reload_failures, credentials_refused, client_expiry, ..
        } = self;
        registry.register(
            "credential_reloads",
            "Changed tokens, client certificates, or authorities of servers, that were taken",
            credential_reloads.clone(),
        );
        registry.register(
            "credential_reload_failures",
            "Changed tokens, client certificates, or authorities of servers, that cannot be used: the old ones stay",
            credential_reload_failures.clone(),
        );
        registry.register(
            "credentials_refused",
            "1 while servers do not take the credentials, or do not let this webhook ask; else 0",
            credentials_refused.clone(),
        );
        registry.register_with_unit(
            "client_certificate_expiry_timestamp",
            "When the certificate that servers are shown ends, since 1970; 0 without one",
            Unit::Seconds,
            client_expiry.clone(),
        );
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

    /// Counts a request as being answered.
    pub(crate) fn in_flight(&self) -> Counted {
        Counted::of(&self.in_flight)
    }

    /// Counts a connection as being open.
    pub(crate) fn connected(&self) -> Counted {
        Counted::of(&self.connections)
    }

    /// Counts a connection that is not served.
    pub(crate) fn turned_away(&self, turned: Turned) {
        self.turned_away.get_or_create(&ReasonLabel { reason: turned.as_str() }).inc();
    }

    /// Counts a certificate, or authorities, that changed.
    pub(crate) fn reloaded(&self, is_good: bool) {
        if is_good { &self.tls_reloads } else { &self.tls_reload_failures }.inc();
    }

    /// The metrics in the OpenMetrics text format, with the gauges as they are now.
    pub(crate) fn encode(&self, servers: &Balanced, expires: Option<i64>) -> Result<String, std::fmt::Error> {
        let replicas = servers.replicas();
        let good = replicas.iter().filter(|replica| replica.state == State::Good).count();
        self.servers_known.set(i64::try_from(replicas.len()).unwrap_or(i64::MAX));
        self.servers_good.set(i64::try_from(good).unwrap_or(i64::MAX));
        self.retries.inner().store(servers.retries(), Ordering::Relaxed);
        self.tls_expiry.set(expires.unwrap_or_default());
        let security = servers.security();
        self.credential_reloads.inner().store(security.reloads, Ordering::Relaxed);
        self.credential_reload_failures.inner().store(security.reload_failures, Ordering::Relaxed);
        self.credentials_refused.set(i64::from(security.refused.is_some()));
        let expires = security.certificate_expires.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        self.client_expiry
            .set(expires.and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or_default());
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.registry)?;
        Ok(encoded)
    }
}
