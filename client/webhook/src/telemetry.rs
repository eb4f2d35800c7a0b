//! Logs and traces.

use gavel_telemetry::{Error, Settings, Telemetry};

use crate::config::{Config, LogFormat};

/// Sets up logs and traces for this process. Called once, by `main`, within a tokio runtime.
///
/// # Errors
/// When a setting cannot be used.
pub fn init(config: &Config) -> Result<Telemetry, Error> {
    gavel_telemetry::init(&settings(config))
}

/// What is set up.
pub(crate) fn settings(config: &Config) -> Settings<'_> {
    Settings {
        service: "gavel-webhook",
        log: &config.log,
        json: config.log_format == LogFormat::Json,
        otlp_endpoint: config.traces.otlp_endpoint.as_deref(),
        trace_sample: config.traces.trace_sample,
        records: false,
    }
}
