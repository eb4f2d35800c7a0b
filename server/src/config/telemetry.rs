//! Settings: logs, traces, the decision log.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

/// Logs, traces, the decision log. The usual `OTEL_…` variables apply; flags win over them.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Telemetry")]
pub struct Telemetry {
    /// What to log: error, warn, info, debug, or filters such as `gavel_server=debug`
    #[arg(long, value_name = "FILTER", env = "GAVEL_LOG", default_value = "info")]
    pub log: String,

    /// How to log
    #[arg(long, value_name = "FORMAT", env = "GAVEL_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Where to send traces and the decision log by OTLP [default: OTEL_EXPORTER_OTLP_ENDPOINT]
    #[arg(long, value_name = "URL", env = "GAVEL_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,

    /// Which part of the calls that come without a trace begin one, from 0 to 1; a caller's trace is continued if it is
    /// sampled [default: by OTEL_TRACES_SAMPLER]
    #[arg(long, value_name = "RATIO", env = "GAVEL_TRACE_SAMPLE")]
    pub trace_sample: Option<Ratio>,

    /// Which decisions to log: each with its question, answer, reason and caller
    #[arg(long, value_name = "WHICH", env = "GAVEL_DECISION_LOG", default_value = "off")]
    pub decision_log: DecisionLogMode,

    /// Which part of the decisions is logged if they are sampled, from 0 to 1
    #[arg(long, value_name = "RATIO", env = "GAVEL_DECISION_LOG_SAMPLE", default_value = "0.01")]
    pub decision_log_sample: Ratio,

    /// Where to log decisions: stdout, otlp, or a file
    #[arg(long, value_name = "stdout|otlp|FILE", env = "GAVEL_DECISION_LOG_TO", default_value = "stdout")]
    pub decision_log_to: DecisionLogTarget,

    /// How much of the question to log
    #[arg(long, value_name = "HOW", env = "GAVEL_DECISION_LOG_QUESTION", default_value = "redacted")]
    pub decision_log_question: DecisionLogQuestion,

    /// How large the decision log's file becomes before another one is begun, in bytes
    #[arg(
        long,
        value_name = "BYTES",
        env = "GAVEL_DECISION_LOG_MAX_BYTES",
        default_value_t = 100 << 20,
        value_parser = clap::value_parser!(u64).range(4096..)
    )]
    pub decision_log_max_bytes: u64,

    /// How many of the files before are kept
    #[arg(
        long,
        value_name = "N",
        env = "GAVEL_DECISION_LOG_KEEP",
        default_value_t = 5,
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    pub decision_log_keep: u16,
}

impl Telemetry {
    /// What is set up of it for the process.
    pub fn settings(&self) -> gavel_telemetry::Settings<'_> {
        let logs_decisions = self.decision_log != DecisionLogMode::Off;
        gavel_telemetry::Settings {
            service: "gavel-server",
            log: &self.log,
            json: self.log_format == LogFormat::Json,
            otlp_endpoint: self.otlp_endpoint.as_deref(),
            trace_sample: self.trace_sample.map(|ratio| ratio.0),
            records: logs_decisions && self.decision_log_to == DecisionLogTarget::Otlp,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which decisions are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DecisionLogMode {
    /// None.
    Off,
    /// Some: see --decision-log-sample.
    Sampled,
    /// All.
    All,
}

/// How much of the question is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DecisionLogQuestion {
    /// Nothing.
    None,
    /// What policies look at; no environment, arguments, annotations or label values.
    Redacted,
    /// All of it.
    Full,
}

/// Where decisions are logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecisionLogTarget {
    /// Standard output, a JSON object a line.
    Stdout,
    /// An OTLP receiver.
    Otlp,
    /// A file, which is rotated.
    File(PathBuf),
}

/// `stdout`, `otlp`, or a path; a file of such a name is `./otlp`.
impl FromStr for DecisionLogTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("must be stdout, otlp or a file".to_owned()),
            "stdout" => Ok(Self::Stdout),
            "otlp" => Ok(Self::Otlp),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl std::fmt::Display for DecisionLogTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Otlp => f.write_str("otlp"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A part of all, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(pub f64);

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(Self(ratio)),
            _ => Err("must be a number from 0 to 1, such as 0.01".to_owned()),
        }
    }
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
