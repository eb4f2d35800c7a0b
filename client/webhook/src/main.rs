//! gavel-webhook: the admission webhook.

use std::process::ExitCode;

use gavel_webhook::config::{Command, Config, IssueCertificate};
use gavel_webhook::{certificate, config, run, telemetry};

fn main() -> ExitCode {
    let done = match config::read(std::env::args_os()).unwrap_or_else(|error| error.exit()) {
        Command::Serve(config) => serve(*config),
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

#[tokio::main]
async fn serve(config: Config) -> anyhow::Result<()> {
    let telemetry = telemetry::init(&config)?;
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
