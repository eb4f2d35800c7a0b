//! What the command line takes.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::outcome::{Outcome, conclude};
use crate::server::Server;
use crate::{admit, authorize, check_flow, crd, demo};

/// Ask Gavel, the Kubernetes policy decision point: may this pod be created, may these two talk, may she do that?
#[derive(Debug, Parser)]
#[command(name = "gavel", version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 allowed, 1 denied, 2 when a question could not be answered.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the tutorial against a real server: the quickest way to see what this is
    Demo(demo::Arguments),
    /// May these pods be created?
    Admit(admit::Arguments),
    /// May this end open a connection to that one?
    CheckFlow(check_flow::Arguments),
    /// May somebody do something, by RBAC?
    Authorize(authorize::Arguments),
    /// Print the CustomResourceDefinition of PodSecurityPolicy, for `kubectl apply`
    Crd(crd::Arguments),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Whom to ask, and how to answer.
#[derive(Debug, Args)]
pub(crate) struct Asking {
    /// Decide from these files and folders of manifests, without a server
    #[arg(long, value_name = "PATH", env = "GAVEL_MANIFESTS", num_args = 1.., conflicts_with = "server")]
    pub(crate) manifests: Vec<PathBuf>,

    /// Ask a server instead
    #[command(flatten)]
    pub(crate) server: Server,

    /// How to print answers
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,

    /// Take objects that an API server would have refused, as it may hold them from before it did; they are warned of
    #[arg(long)]
    pub(crate) accept_refused: bool,
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// For programs: one JSON document a line
    Json,
}

impl Arguments {
    pub(crate) fn run(self) -> Outcome {
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()
        {
            Ok(runtime) => runtime,
            Err(error) => return conclude(Err(error.into())),
        };
        conclude(match self.command {
            Command::Demo(arguments) => runtime.block_on(demo::run(arguments)),
            Command::Admit(arguments) => runtime.block_on(admit::run(arguments)),
            Command::CheckFlow(arguments) => runtime.block_on(check_flow::run(arguments)),
            Command::Authorize(arguments) => runtime.block_on(authorize::run(arguments)),
            Command::Crd(arguments) => crd::run(&arguments),
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Self::command(), "gavel", &mut std::io::stdout());
                Ok(Outcome::Yes)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        super::Arguments::command().debug_assert();
    }
}
