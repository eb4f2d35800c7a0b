//! gavel-server: the policy decision point.

use std::io::Write as _;
use std::process::ExitCode;

use gavel_config::Purpose;
use gavel_server::{Config, Telling, run};

fn main() -> ExitCode {
    let read = Config::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let done = match read.purpose {
        Purpose::Run => serve(read.settings, read.warnings),
        Purpose::Check => check(&read.settings, read.warnings),
        Purpose::Print => {
            warn(&read.warnings);
            print(&read.print())
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

/// Unlike `print!`, without a panic when nobody reads.
fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

/// Everything that is wrong, at once.
#[tokio::main(flavor = "current_thread")]
async fn check(config: &Config, mut warnings: Vec<String>) -> anyhow::Result<()> {
    let errors = config.check(&mut warnings).await;
    warn(&warnings);
    anyhow::ensure!(errors.is_empty(), "the configuration cannot be used\n  - {}", errors.join("\n  - "));
    print("configuration is valid\n")
}

#[tokio::main]
async fn serve(config: Config, warnings: Vec<String>) -> anyhow::Result<()> {
    let telemetry = gavel_telemetry::init(&config.telemetry.settings())?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let telling = Telling { tracing: telemetry.tracing(), records: telemetry.records() };
    let drain = config.drain();
    // Before anything is served: a signal that comes early is heeded, too.
    let told = run::told_to_stop()?;
    run::start_telling(config, telling).await?.until(told, drain).await
}
