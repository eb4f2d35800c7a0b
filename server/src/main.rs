//! gavel-server: the policy decision point.

use std::process::ExitCode;

use gavel_config::Purpose;
use gavel_server::config::{DecisionLogMode, DecisionLogTarget, LogFormat};
use gavel_server::{Config, Telling, run};

fn main() -> ExitCode {
    let read = Config::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let done = match read.purpose {
        Purpose::Run => serve(read.settings, read.warnings),
        Purpose::Check => check(&read.settings, read.warnings),
        Purpose::Print => {
            print!("{}", read.print());
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gavel-server: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Everything that is wrong, at once.
fn check(config: &Config, mut warnings: Vec<String>) -> anyhow::Result<()> {
    let errors = config.file_errors(&mut warnings);
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    anyhow::ensure!(errors.is_empty(), "the configuration cannot be used\n  - {}", errors.join("\n  - "));
    println!("configuration is valid");
    Ok(())
}

#[tokio::main]
async fn serve(config: Config, warnings: Vec<String>) -> anyhow::Result<()> {
    let settings = &config.telemetry;
    let logs_decisions = settings.decision_log != DecisionLogMode::Off;
    let telemetry = gavel_telemetry::init(&gavel_telemetry::Settings {
        service: "gavel-server",
        log: &settings.log,
        json: settings.log_format == LogFormat::Json,
        otlp_endpoint: settings.otlp_endpoint.as_deref(),
        trace_sample: settings.trace_sample.map(|ratio| ratio.0),
        records: logs_decisions && settings.decision_log_to == DecisionLogTarget::Otlp,
    })?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let telling = Telling { tracing: telemetry.tracing(), records: telemetry.records() };
    let drain = config.drain();
    // Before anything is served: a signal that comes early is heeded, too.
    let told = run::told_to_stop()?;
    run::start_telling(config, telling).await?.until(told, drain).await
}
