//! `gavel demo`: the tutorial's questions, asked of a real server.

mod steps;
mod story;
mod table;

use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use gavel_client::Client;
use gavel_server::config::Listen;
use gavel_server::{Config, run};
use tempfile::TempDir;

use crate::outcome::Outcome;
use story::Story;

/// Run the tutorial against a real server.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Ask the tutorial's questions and end; without it the server goes on until ctrl-C
    #[arg(long)]
    once: bool,

    /// Port of 127.0.0.1 to serve on; 0 means any free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
}

const EXAMPLES: &str = "\
Examples:
  gavel demo --once
  gavel demo --port 9470

Starts gavel-server in this process on a folder with the tutorial's manifests, and asks it over gRPC. The exit code is 0
when every answer is the tutorial's.";

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    let folder =
        tempfile::Builder::new().prefix("gavel-demo-").tempdir().context("a folder for the manifests")?;
    steps::write_first(folder.path())?;
    let mut config = Config::local(vec![folder.path().to_owned()]);
    config.listen = vec![Listen::Tcp(([127, 0, 0, 1], arguments.port).into())];
    let drain = config.drain();
    let mut told_to_stop = std::pin::pin!(run::told_to_stop()?);
    let mut running = run::start(config).await?;
    running.ready().await?;
    let address = running.listening.first().cloned().context("the server listens nowhere")?;
    let mut story = Story::new(Client::connect(&address).await?, folder.path());
    let told = tokio::select! {
        told = steps::tell(&mut story, &address) => told,
        () = &mut told_to_stop => Err(anyhow::anyhow!("interrupted")),
    };
    let outcome = match told {
        Ok(()) => story.conclude(),
        Err(error) => {
            running.shutdown().await?;
            return Err(error);
        }
    };
    if arguments.once {
        running.shutdown().await?;
    } else {
        say_what_to_try(&address, folder.path());
        running.until(told_to_stop, drain).await?;
    }
    close(folder)?;
    Ok(outcome)
}

/// Removes the folder now, so that what goes wrong is told.
fn close(folder: TempDir) -> anyhow::Result<()> {
    folder.close().context("the folder with the manifests")
}

fn say_what_to_try(address: &str, folder: &Path) {
    let folder = folder.display();
    anstream::println!(
        "
Serving on {address} until ctrl-C. Try, in another terminal:

  gavel check-flow --server {address} --from default/shell --to default/apiserver --port 8080/TCP
  gavel check-flow --server {address} --from default/frontend --to default/db --port 6379/TCP --explain
  gavel admit --server {address} -f {folder}/root-deploy.yaml --explain
  gavel authorize use podsecuritypolicies/nonroot-psp --as system:serviceaccount:default:nonroot-sa --server {address}
  grpcurl -plaintext {address} gavel.v1.PolicyDecision/GetSnapshot

The manifests are in {folder}: change them, and ask again."
    );
}
