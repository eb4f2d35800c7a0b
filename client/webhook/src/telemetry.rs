//! Logs and traces.

use gavel_telemetry::Telemetry;

use crate::config::{Config, LogFormat};

/// Sets up logs and traces for this process. Called once, by `main`, within a tokio runtime.
///
/// # Errors
/// When a setting cannot be used.
pub fn init(config: &Config) -> Result<Telemetry, gavel_telemetry::Error> {
    gavel_telemetry::init(&gavel_telemetry::Settings {
        service: "gavel-webhook",
        log: &config.log,
        json: config.log_format == LogFormat::Json,
        otlp_endpoint: config.traces.otlp_endpoint.as_deref(),
        trace_sample: config.traces.trace_sample,
        records: false,
    })
}
