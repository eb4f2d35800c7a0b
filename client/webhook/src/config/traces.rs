//! Where traces go.

use clap::Args;

/// Where traces go, and how many.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Traces")]
pub struct Traces {
    /// Where to send traces by OTLP over gRPC [default: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, else
    /// OTEL_EXPORTER_OTLP_ENDPOINT; without any, none are made]
    #[arg(long, value_name = "URL", env = "GAVEL_WEBHOOK_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,

    /// Share of the reviews to trace, 0 to 1, of those that come without a trace; of the others the API server's
    /// sampled flag decides [default: OTEL_TRACES_SAMPLER, else all]
    #[arg(long, value_name = "RATIO", env = "GAVEL_WEBHOOK_TRACE_SAMPLE", value_parser = ratio)]
    pub trace_sample: Option<f64>,
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("must be a number from 0 to 1".to_owned()),
    }
}
