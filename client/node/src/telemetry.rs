//! Logs.

use gavel_telemetry::{Error, Settings, Telemetry};

use crate::config::{Config, LogFormat};

/// Sets up logs for this process. Called once, by `main`, within a tokio runtime.
///
/// # Errors
/// When a setting cannot be used.
pub fn init(config: &Config) -> Result<Telemetry, Error> {
    gavel_telemetry::init(&settings(config))
}

/// What is set up. No traces are made: a packet belongs to none.
pub(crate) fn settings(config: &Config) -> Settings<'_> {
    Settings {
        service: "gavel-node",
        log: &config.log,
        json: config.log_format == LogFormat::Json,
        otlp_endpoint: None,
        trace_sample: None,
        records: false,
    }
}
