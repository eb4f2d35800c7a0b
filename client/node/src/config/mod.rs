//! What the agent can be told: flags, then environment, then the file of `--config`, then defaults.

mod check;
mod enforce;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use gavel_client::flags::Access;
use gavel_config::Purpose;

pub use crate::flow_log::Mode as FlowLogMode;
pub use enforce::{Enforce, Otherwise, ReversePath};

/// Node agent: lets the first packet of each new connection of a node's pods pass, or not, as gavel-server decides by
/// NetworkPolicies.
#[derive(Debug, Parser)]
#[command(
    name = "gavel-node",
    version,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Other>,

    /// YAML file with any of these settings, by their long names (`server: [...]`). Flags and environment win over it
    #[arg(id = "config", long = "config", value_name = "FILE", env = "GAVEL_NODE_CONFIG")]
    file: Option<PathBuf>,

    #[command(flatten)]
    config: Config,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// Take the agent's rules out of the kernel: no packet is held back or dropped by them any more
    Uninstall,
}

/// What the process is to do.
#[derive(Debug)]
pub enum Command {
    /// Enforce; with what may be mistakes in the settings.
    Enforce(Box<Config>, Vec<String>),
    /// Check the settings, and end.
    Check(Box<Config>, Vec<String>),
    /// Print this, the settings in effect, and end; with what may be mistakes in them.
    Print(String, Vec<String>),
    /// Take the rules out of the kernel, and end.
    Uninstall,
}

/// The settings of an agent.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// Servers to ask, the first one that answers: HOST:PORT, https://HOST:PORT, http://HOST:PORT or unix:PATH. May be
    /// repeated
    #[arg(long, value_name = "ADDR", env = "GAVEL_NODE_SERVER", num_args = 1.., value_delimiter = ',')]
    pub server: Vec<String>,

    /// How the servers are reached, and who asks them
    #[command(flatten)]
    pub access: Access,

    /// The node's name, as pods have it in spec.nodeName [default: pods of all nodes, and of none, count as being here]
    #[arg(long, value_name = "NAME", env = "GAVEL_NODE_NAME")]
    pub node_name: Option<String>,

    /// What is enforced, and how
    #[command(flatten)]
    pub enforce: Enforce,

    /// Unix socket by which the CNI plugin gavel-cni tells of new pods, whose traffic then waits until the server knows
    /// them [default: none]
    #[arg(long, value_name = "PATH", env = "GAVEL_NODE_CNI_SOCKET")]
    pub cni_socket: Option<PathBuf>,

    /// Where to keep which pods were isolated and held, so that an agent that starts enforces at once what the last one
    /// did
    #[arg(long, value_name = "DIR", env = "GAVEL_NODE_STATE_DIR", default_value = "/var/lib/gavel-node")]
    pub state_dir: PathBuf,

    /// Which flows to log, a JSON object a line
    #[arg(long, value_name = "FLOWS", env = "GAVEL_NODE_FLOW_LOG", default_value = "denied")]
    pub flow_log: FlowLogMode,

    /// File to log flows to, rotated at 64 MiB, three old ones kept [default: standard output]
    #[arg(long, value_name = "FILE", env = "GAVEL_NODE_FLOW_LOG_TO")]
    pub flow_log_to: Option<PathBuf>,

    /// Where to serve /metrics, /livez and /readyz over HTTP
    #[arg(long, value_name = "ADDR", env = "GAVEL_NODE_ADMIN_LISTEN", default_value = "127.0.0.1:9474")]
    pub admin_listen: SocketAddr,

    /// Allow an --admin-listen that others can reach: they see figures, and the servers' addresses
    #[arg(long, env = "GAVEL_NODE_ADMIN_INSECURE")]
    pub admin_insecure: bool,

    /// How often the files of certificates and tokens are looked at, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_NODE_RELOAD_SECONDS",
        default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub reload_seconds: u64,

    /// What to log: error, warn, info, debug, or filters such as `gavel_node=debug`. Logs go to standard error
    #[arg(long, value_name = "FILTER", env = "GAVEL_NODE_LOG", default_value = "info")]
    pub log: String,

    /// How to log
    #[arg(long, value_name = "FORMAT", env = "GAVEL_NODE_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// How the program's variables begin.
const PREFIX: &str = "GAVEL_NODE_";

const EXAMPLES: &str = "\
Examples:
  gavel-node --server gavel-server.gavel-system.svc:9470 --node-name node-1
  gavel-node --server unix:/run/gavel/server.sock --cni-socket /run/gavel/node.sock --cut-connections
  gavel-node uninstall

Needs CAP_NET_ADMIN, iptables and ip6tables, and for --cut-connections the program conntrack. When it stops its rules stay:
new connections of isolated pods are dropped until it is back, or let pass with --on-unavailable allow.";

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Reads command line, environment and file.
///
/// # Errors
/// What is wrong with them, all of it at once; else what cannot go together, unless it is only to be checked.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    let program = gavel_config::Program { prefix: PREFIX, others: &[] };
    let read: gavel_config::Read<Arguments> = gavel_config::read(command(), program, arguments)?;
    let (purpose, warnings, printed) = (read.purpose, read.warnings.clone(), read.print());
    let Arguments { command: other, file: _, config } = read.settings;
    if let Some(Other::Uninstall) = other {
        return Ok(Command::Uninstall);
    }
    // Whoever checks hears of the files, too, and of all at once.
    let errors = if purpose == Purpose::Check { Vec::new() } else { config.combination_errors() };
    if !errors.is_empty() {
        return Err(gavel_config::fail(command(), &errors));
    }
    let config = Box::new(config);
    Ok(match purpose {
        Purpose::Run => Command::Enforce(config, warnings),
        Purpose::Check => Command::Check(config, warnings),
        Purpose::Print => Command::Print(printed, warnings),
    })
}

/// All that the agent can be told.
pub fn command() -> clap::Command {
    gavel_config::with_variables::<Access>(Arguments::command(), PREFIX)
}

impl Config {
    /// How often files are looked at.
    pub(crate) fn reload(&self) -> Duration {
        Duration::from_secs(self.reload_seconds)
    }
}
