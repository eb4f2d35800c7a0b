//! gavel-webhook: the admission webhook.

use std::io::Write as _;
use std::process::ExitCode;

use gavel_webhook::config::{Command, Config, IssueCertificate};
use gavel_webhook::{certificate, config, run, telemetry};

fn main() -> ExitCode {
    let done = match config::read(std::env::args_os()).unwrap_or_else(|error| error.exit()) {
        Command::Serve(config, warnings) => serve(*config, warnings),
        Command::Check(config, warnings) => check(&config, warnings),
        Command::Print(settings, warnings) => {
            warn(&warnings);
            print(&settings)
        }
        Command::IssueCertificate(arguments) => issue(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gavel-webhook: {error:#}");
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
    let telemetry = telemetry::init(&config)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let drain = config.drain_delay() + config.drain();
    // Before anything is served: a signal that comes early is heeded, too.
    let told = run::told_to_stop()?;
    run::start_traced(config, telemetry.tracing()).await?.until(told, drain).await
}

#[tokio::main]
async fn issue(arguments: &IssueCertificate) -> anyhow::Result<()> {
    println!("{}", certificate::command(arguments).await?);
    Ok(())
}
