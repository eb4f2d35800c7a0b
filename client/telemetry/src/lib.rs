//! Traces and logs of a program.
//!
//! [`init`] sets both up, once a process. [`Tracing`] begins spans: whether one is to be made is decided before it is,
//! since most calls are not sampled, and a span that is not would cost more than the call's decision.
//!
//! Settings come from flags, else from OpenTelemetry's own variables
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>): `OTEL_SDK_DISABLED`,
//! `OTEL_TRACES_EXPORTER` (`otlp`, `none`), `OTEL_TRACES_SAMPLER` and its `_ARG`, `OTEL_SERVICE_NAME`,
//! `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_BSP_…`, `OTEL_BLRP_…`, and of `OTEL_EXPORTER_OTLP_…` endpoint, headers, timeout,
//! compression (`gzip`) and insecure, each also for `TRACES` and `LOGS`. The protocol is `grpc`.

mod env;
mod error;
mod log;
mod otlp;
mod records;
mod sampling;
mod span;

pub use error::Error;
pub use records::{Ended, Records, Sender};
pub use sampling::Sampling;
pub use span::{Span, Tracing};

use opentelemetry_sdk::trace::SdkTracerProvider;

/// What to set up.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// Name of the service in traces, unless `OTEL_SERVICE_NAME` has another.
    pub service: &'static str,
    /// What to log: directives of `tracing_subscriber::EnvFilter`.
    pub log: &'a str,
    /// Whether to log JSON.
    pub json: bool,
    /// Where to send traces and decisions; none: as the environment says.
    pub otlp_endpoint: Option<&'a str>,
    /// Which part of the calls without a trace begin one; none: as the environment says.
    pub trace_sample: Option<f64>,
    /// Whether records are sent by OTLP, too: see [`Telemetry::records`].
    pub records: bool,
}

/// Keeps the telemetry alive; sends what is left when it is dropped.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    records: Option<Records>,
    tracing: Tracing,
}

/// Sets up logs, traces, and records, for this process. Called once, by `main`, within a tokio runtime.
///
/// # Errors
/// When a setting or a variable cannot be used.
pub fn init(settings: &Settings<'_>) -> Result<Telemetry, Error> {
    let environment = env::Environment::read().map_err(|mut wrong| wrong.swap_remove(0))?;
    log::init(settings.log, settings.json)?;
    let mut warnings = environment.warnings();
    let endpoint = settings.otlp_endpoint;
    let resource = otlp::resource(settings.service);
    let traces = if environment.sends_traces(endpoint) {
        Some(otlp::traces(endpoint, resource.clone())?)
    } else {
        if settings.trace_sample.is_some() {
            warnings.push("calls are to be traced, but nothing says where to send traces".to_owned());
        }
        None
    };
    let records = if settings.records {
        Some(otlp::records(endpoint, resource, environment.most_records)?)
    } else {
        None
    };
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let sampling = settings.trace_sample.map_or(environment.sampling, Sampling::parent_based);
    let tracing = traces.as_ref().map_or_else(Tracing::off, |traces| Tracing::new(traces, sampling));
    Ok(Telemetry { traces, records, tracing })
}

/// Everything that [`init`] could not use; nothing is set up, and nothing is sent. Called within a tokio runtime.
pub fn check(settings: &Settings<'_>) -> Vec<Error> {
    let mut wrong: Vec<Error> = log::filter(settings.log).err().into_iter().collect();
    match env::Environment::read() {
        // Exporters are made to see whether they can be: they connect when they have something to send.
        Ok(environment) => {
            let endpoint = settings.otlp_endpoint;
            let traces = environment.sends_traces(endpoint).then(|| otlp::span_exporter(endpoint).err());
            let records = settings.records.then(|| otlp::log_exporter(endpoint).err());
            let mut found: Vec<Error> = [traces, records].into_iter().flatten().flatten().collect();
            // What is wrong with the flag is wrong with it for both.
            found.dedup_by_key(|error| error.to_string());
            wrong.extend(found);
        }
        Err(variables) => wrong.extend(variables),
    }
    wrong
}

impl Telemetry {
    /// Begins spans.
    pub fn tracing(&self) -> Tracing {
        self.tracing.clone()
    }

    /// Sends records by OTLP, if that was asked for.
    pub fn records(&self) -> Option<Records> {
        self.records.clone()
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let traces = self.traces.as_ref().map(SdkTracerProvider::shutdown);
        let records = self.records.as_ref().map(Records::shutdown);
        for ended in [traces, records].into_iter().flatten() {
            // The subscriber may be gone already.
            if let Err(error) = ended {
                eprintln!("telemetry: {error}");
            }
        }
    }
}
