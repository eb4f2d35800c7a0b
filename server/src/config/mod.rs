//! What the server can be told: flags, then environment, then the file of `--config`, then defaults.

mod access;
mod check;
mod files;
mod life;
mod limits;
mod telemetry;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{ArgAction, Args, CommandFactory as _, Parser, ValueEnum};
use gavel_config::Purpose;

pub use access::{Access, Mode};
pub use life::Life;
pub use limits::Limits;
pub use telemetry::{DecisionLogMode, DecisionLogQuestion, DecisionLogTarget, LogFormat, Ratio, Telemetry};

/// Policy decision point for Kubernetes: answers Admit, CheckFlow and Authorize over gRPC.
#[derive(Clone, Debug, Parser)]
#[command(name = "gavel-server", version, after_help = EXAMPLES)]
pub struct Config {
    /// YAML file with any of these settings, by their long names (`listen: [...]`). Flags and environment win over it
    #[arg(long, value_name = "FILE", env = "GAVEL_CONFIG")]
    pub config: Option<PathBuf>,

    /// Files and folders of manifests to decide from; read again whenever they change
    #[arg(long, value_name = "PATH", env = "GAVEL_MANIFESTS", num_args = 1.., value_delimiter = ',')]
    pub manifests: Vec<PathBuf>,

    /// Decide from a cluster: watch its API server
    #[arg(long, env = "GAVEL_CLUSTER", action = ArgAction::SetTrue)]
    pub cluster: bool,

    /// How to reach the cluster; else as kubectl would, or by the service account of the pod this runs in
    #[arg(long, value_name = "FILE", env = "GAVEL_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,

    /// Which context of the kubeconfig
    #[arg(long, value_name = "NAME", env = "GAVEL_CONTEXT")]
    pub context: Option<String>,

    /// Directory to keep the cluster's objects in, so that a server that is restarted while the API server is down
    /// answers from these (and says how old they are)
    #[arg(long, value_name = "DIR", env = "GAVEL_STATE_DIR")]
    pub state_dir: Option<PathBuf>,

    /// Give up readiness when the API server was not heard from for this long, in seconds; 0: never
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_UNREADY_AFTER_SECONDS",
        default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(..=YEAR)
    )]
    pub unready_after_seconds: u64,

    /// How long a watch lasts before it is renewed, in seconds: idle watches are heard from that often, and one that
    /// is silent for 5 seconds longer has stalled. At least 5, since bookmarks come two seconds before the end
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_WATCH_SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(5..=3600)
    )]
    pub watch_seconds: u32,

    /// Use streaming lists where the API server has them (Kubernetes 1.34 and later do by default)
    #[arg(long, value_name = "BOOL", env = "GAVEL_STREAMING_LISTS", default_value_t = true, action = ArgAction::Set)]
    pub streaming_lists: bool,

    /// How long a request may wait for a snapshot that is as fresh as it asks for, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_MAX_WAIT_SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(..=3600)
    )]
    pub max_wait_seconds: u64,

    /// Take objects that an API server would have refused, as it may hold them from before it did; they are warned of
    #[arg(long, env = "GAVEL_ACCEPT_REFUSED", action = ArgAction::SetTrue)]
    pub accept_refused: bool,

    /// Where to serve gRPC: ADDRESS:PORT, or unix:PATH. May be repeated
    #[arg(
        long,
        value_name = "ADDR",
        env = "GAVEL_LISTEN",
        value_delimiter = ',',
        default_value = "127.0.0.1:9470"
    )]
    pub listen: Vec<Listen>,

    /// Which threads serve gRPC
    #[arg(long, value_name = "HOW", env = "GAVEL_RUNTIME", default_value = "multi-thread")]
    pub runtime: Runtime,

    /// Where to serve /metrics, /livez and /readyz over HTTP
    #[arg(long, value_name = "ADDR", env = "GAVEL_ADMIN_LISTEN", default_value = "127.0.0.1:9471")]
    pub admin_listen: SocketAddr,

    /// Which evaluators an admission has to pass; `none` admits everything
    #[arg(
        long,
        value_name = "NAME",
        env = "GAVEL_EVALUATORS",
        value_delimiter = ',',
        default_value = "pod-security-policy"
    )]
    pub evaluators: Vec<Evaluator>,

    /// How often the manifests are looked at even when nothing was reported to have changed, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_POLL_SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub poll_seconds: u64,

    /// Who may ask.
    #[command(flatten)]
    pub access: Access,

    /// How much callers may have.
    #[command(flatten)]
    pub limits: Limits,

    /// How connections and the server end.
    #[command(flatten)]
    pub life: Life,

    /// Logs, traces, the decision log.
    #[command(flatten)]
    pub telemetry: Telemetry,
}

/// How variables begin that are of the webhook, and of `gavel`.
const OTHERS: [&str; 5] =
    ["GAVEL_WEBHOOK_", "GAVEL_SERVER", "GAVEL_CLIENT_", "GAVEL_TOKEN_FILE", "GAVEL_TOKEN_WITHOUT_TLS"];

/// In seconds: longer than anybody means, and short enough to be added to any time.
const YEAR: u64 = 365 * 24 * 3600;

const EXAMPLES: &str = "\
Examples:
  gavel-server --manifests ./manifests
  gavel-server --cluster --state-dir /var/lib/gavel
  gavel-server --manifests policies.yaml rbac/ --listen unix:/run/gavel.sock --log-format json
  GAVEL_MANIFESTS=./manifests gavel-server

Traces are sent by OTLP when OTEL_EXPORTER_OTLP_ENDPOINT is set; the usual OTEL_… variables apply.";

/// An address to serve gRPC on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address; port 0 means any free one.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("unix: needs a path: unix:/run/gavel.sock".to_owned()),
            Some(path) => Ok(Listen::Unix(path.into())),
            None => text
                .parse()
                .map(Listen::Tcp)
                .map_err(|_| "neither ADDRESS:PORT (127.0.0.1:9470, [::1]:9470) nor unix:PATH".to_owned()),
        }
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A kind of admission policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Evaluator {
    /// PodSecurityPolicy, as Kubernetes 1.24 had it.
    PodSecurityPolicy,
    /// No evaluator: everything is admitted.
    None,
}

/// Which threads serve gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Runtime {
    /// Those of one pool, a thread a core: whichever is free takes a request. For callers with few connections.
    MultiThread,
    /// One a core, each with connections of its own: less CPU a call. For callers with many connections.
    PerCore,
}

impl Config {
    /// Reads command line, environment and configuration file.
    ///
    /// # Errors
    /// What is wrong with them, all of it at once; else what cannot go together, unless it is only to be checked.
    pub fn read(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<gavel_config::Read<Self>, clap::Error> {
        let program = gavel_config::Program { prefix: "GAVEL_", others: &OTHERS };
        let mut read: gavel_config::Read<Self> = gavel_config::read(Self::command(), program, arguments)?;
        read.warnings.extend(read.settings.without_effect());
        // Whoever checks hears of the files, too, and of all at once.
        let errors =
            if read.purpose == Purpose::Check { Vec::new() } else { read.settings.combination_errors() };
        if errors.is_empty() { Ok(read) } else { Err(gavel_config::fail(Self::command(), &errors)) }
    }

    /// All that the server can be told, as a page of a manual.
    pub fn manual() -> String {
        gavel_config::manual(Self::command())
    }

    /// How long requests in flight may take once the server was told to stop.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.life.drain_seconds)
    }

    /// How long to go on serving once the server was told to stop.
    pub fn drain_delay(&self) -> Duration {
        Duration::from_secs(self.life.drain_delay_seconds)
    }

    /// Whether admissions are looked at, or all admitted.
    pub fn looks_at_admissions(&self) -> bool {
        !self.evaluators.contains(&Evaluator::None)
    }

    /// How old the snapshot may be while the server calls itself ready; none: as old as it likes.
    pub fn unready_after(&self) -> Option<Duration> {
        (self.unready_after_seconds > 0).then(|| Duration::from_secs(self.unready_after_seconds))
    }

    /// The settings of a server for tests and demonstrations: free loopback ports, these manifests.
    pub fn local(manifests: Vec<PathBuf>) -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            config: None,
            manifests,
            cluster: false,
            kubeconfig: None,
            context: None,
            state_dir: None,
            unready_after_seconds: 300,
            watch_seconds: 10,
            streaming_lists: true,
            max_wait_seconds: 30,
            accept_refused: false,
            listen: vec![Listen::Tcp(loopback)],
            runtime: Runtime::MultiThread,
            admin_listen: loopback,
            evaluators: vec![Evaluator::PodSecurityPolicy],
            poll_seconds: 1,
            access: defaults(),
            limits: defaults(),
            life: defaults(),
            telemetry: defaults(),
        }
    }
}

/// A group of settings, as it is when nobody says anything.
fn defaults<T: Args>() -> T {
    let command = T::augment_args(clap::Command::new("defaults").no_binary_name(true));
    let matches = command.mut_args(|argument| argument.env(Resettable::Reset)).get_matches_from([""; 0]);
    T::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}
