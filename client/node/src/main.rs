//! gavel-node: the node agent.

use std::io::Write as _;
use std::process::ExitCode;

use gavel_node::config::{Command, Config};
use gavel_node::{config, run, telemetry, uninstall};

fn main() -> ExitCode {
    let done = match config::read(std::env::args_os()).unwrap_or_else(|error| error.exit()) {
        Command::Enforce(config, warnings) => enforce(*config, warnings),
        Command::Check(config, warnings) => check(&config, warnings),
        Command::Print(settings, warnings) => {
            warn(&warnings);
            print(&settings)
        }
        Command::Uninstall => take_out(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gavel-node: {error:#}");
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

#[tokio::main(worker_threads = 2)]
async fn enforce(config: Config, warnings: Vec<String>) -> anyhow::Result<()> {
    let _telemetry = telemetry::init(&config)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    run(config).await
}

#[tokio::main(flavor = "current_thread")]
async fn take_out() -> anyhow::Result<()> {
    let were_any = uninstall().await?;
    print(if were_any { "the rules were taken out\n" } else { "there were no rules\n" })
}
