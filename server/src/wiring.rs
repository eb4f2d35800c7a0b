//! From the configuration to the parts that requests pass: TLS, who may ask, limits, connections.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use gavel_access::{Authenticator, Rights};
use gavel_telemetry::{Records, Tracing};
use gavel_tls::{Event, Followed, ServerFiles, ServerTls};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, DecisionLogMode, DecisionLogQuestion, DecisionLogTarget, Runtime};
use crate::decision_log::{DecisionIds, DecisionLog, Mode, Redaction, Target};
use crate::grpc::{Access, ConnectionSettings, Service, Shared, Workers};
use crate::limits::{Callers, Connections, Limits, Rate, Settings};
use crate::metrics::Metrics;
use crate::publisher::Publisher;

/// How often files of certificates, keys and tokens are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What gRPC is served with on TCP sockets; none: in clear.
pub(crate) async fn tls(
    config: &Config,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Option<Followed<ServerTls>>> {
    let access = &config.access;
    let Some((cert, key)) = access.tls_cert.clone().zip(access.tls_key.clone()) else { return Ok(None) };
    let files = ServerFiles {
        cert,
        key,
        client_ca: access.tls_client_ca.clone(),
        client_crl: access.tls_client_crl.clone(),
    };
    let counted = metrics.clone();
    let events = move |event: Event| {
        event.log("TLS certificate");
        if let Event::Failed(_) = event {
            counted.tls_reload_failed();
        }
    };
    let followed = gavel_tls::serve(files, &[b"h2"], LOOK, events).await.context("TLS")?;
    Ok(Some(followed))
}

/// Who is let in; none: whoever can connect.
pub(crate) async fn access(config: &Config) -> anyhow::Result<Option<Access>> {
    if !config.access.is_authenticated() {
        return Ok(None);
    }
    let settings = config.access.settings();
    let client = if settings.needs_cluster() {
        let client =
            gavel_source::cluster::client(config.kubeconfig.as_deref(), config.context.as_deref()).await;
        Some(client.context("--token-review, --token-keys cluster")?)
    } else {
        None
    };
    let authenticator = Authenticator::new(settings, client).await.context("tokens")?;
    Ok(Some(Access { authenticator, rights: Rights::new(config.access.grant.clone()) }))
}

/// What all requests pass.
pub(crate) fn shared(
    config: &Config,
    publisher: Arc<Publisher>,
    metrics: Arc<Metrics>,
    access: Option<Access>,
    tracing: Tracing,
) -> Arc<Shared> {
    let limits = &config.limits;
    let rate = NonZeroU32::new(limits.caller_rate)
        .map(|per_second| Rate { per_second, burst: limits.caller_burst.unwrap_or(per_second) });
    let limits = Limits::new(Settings {
        in_flight: config.limits.max_in_flight,
        caller_in_flight: config.limits.caller_in_flight,
        rate,
        held_bytes: config.limits.max_held_bytes,
    });
    // One or two a connection is what callers need: revisions, and health.
    let streams = Limits::new(Settings {
        in_flight: config.limits.max_connections.saturating_mul(2),
        caller_in_flight: usize::MAX,
        rate: None,
        held_bytes: config.limits.max_held_bytes,
    });
    Arc::new(Shared {
        publisher,
        metrics,
        callers: Callers::new(limits),
        streams: Callers::new(streams),
        access,
        tracing,
        request_time: Duration::from_secs(config.limits.request_seconds),
    })
}

/// What connections are held to.
pub(crate) fn connection_settings(config: &Config) -> ConnectionSettings {
    ConnectionSettings {
        concurrent_streams: config.limits.max_concurrent_streams,
        header_bytes: config.limits.max_header_bytes,
        handshake: Duration::from_secs(config.limits.handshake_seconds),
        age: (config.life.max_connection_age_seconds > 0)
            .then(|| Duration::from_secs(config.life.max_connection_age_seconds)),
        grace: Duration::from_secs(config.life.max_connection_age_grace_seconds),
    }
}

/// Which threads serve connections.
///
/// # Errors
/// When there cannot be as many threads.
pub(crate) fn workers(config: &Config) -> anyhow::Result<Workers> {
    match config.runtime {
        Runtime::MultiThread => Ok(Workers::Shared),
        Runtime::PerCore => {
            let cores = std::thread::available_parallelism().context("--runtime per-core")?.get();
            Workers::per_core(cores).context("--runtime per-core: cannot start its threads")
        }
    }
}

/// Places for connections.
pub(crate) fn connections(config: &Config) -> Arc<Connections> {
    Connections::new(config.limits.max_connections, config.limits.max_connections_per_address)
}

/// What answers.
pub(crate) fn service(
    config: &Config,
    publisher: Arc<Publisher>,
    metrics: Arc<Metrics>,
    log: DecisionLog,
    stop: CancellationToken,
) -> Service {
    Service {
        publisher,
        metrics,
        log,
        ids: DecisionIds::default(),
        admission: config.looks_at_admissions(),
        max_object_bytes: config.limits.max_object_bytes,
        max_batch: config.limits.max_batch,
        max_wait: Duration::from_secs(config.max_wait_seconds),
        stop,
    }
}

/// Where decisions are logged. `records`: how they are sent by OTLP.
///
/// # Errors
/// When it cannot be written to.
pub(crate) fn decision_log(
    config: &Config,
    metrics: Arc<Metrics>,
    records: Option<Records>,
) -> anyhow::Result<DecisionLog> {
    let telemetry = &config.telemetry;
    let mode = match telemetry.decision_log {
        DecisionLogMode::Off => return Ok(DecisionLog::off(metrics)),
        DecisionLogMode::Sampled => Mode::Sampled(telemetry.decision_log_sample.0),
        DecisionLogMode::All => Mode::All,
    };
    let redaction = match telemetry.decision_log_question {
        DecisionLogQuestion::None => Redaction::None,
        DecisionLogQuestion::Redacted => Redaction::Redacted,
        DecisionLogQuestion::Full => Redaction::Full,
    };
    let target = match &telemetry.decision_log_to {
        DecisionLogTarget::Stdout => Target::Stdout,
        DecisionLogTarget::Otlp => {
            Target::Otlp(records.context("--decision-log-to otlp: this process sends nothing by OTLP")?)
        }
        DecisionLogTarget::File(path) => Target::File {
            path: path.clone(),
            max_bytes: telemetry.decision_log_max_bytes,
            keep: telemetry.decision_log_keep.into(),
        },
    };
    DecisionLog::new(mode, redaction, target, metrics)
}
