//! gavel-server: the policy decision point.

use std::process::ExitCode;

use gavel_server::{Config, run, telemetry};

fn main() -> ExitCode {
    let config = Config::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gavel-server: {error:#}");
            ExitCode::from(2)
        }
    }
}

#[tokio::main]
async fn serve(config: Config) -> anyhow::Result<()> {
    let _telemetry = telemetry::init(&config)?;
    let drain = config.drain();
    // Before anything is served: a signal that comes early is heeded, too.
    let told = run::told_to_stop()?;
    run::start(config).await?.until(told, drain).await
}
