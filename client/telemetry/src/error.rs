//! What can be wrong with settings of telemetry.

/// Why telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A variable cannot be used.
    #[error("{variable}={value}: {why}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The filter of logs cannot be read.
    #[error("--log {filter}: {why}")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something logs already.
    #[error("logs: {0}")]
    Subscriber(#[from] tracing_subscriber::util::TryInitError),
    /// Nothing can be sent as it was asked for.
    #[error("{setting}: {why}")]
    Exporter {
        /// What says where to send.
        setting: String,
        /// What is wrong with it.
        why: opentelemetry_otlp::ExporterBuildError,
    },
}
