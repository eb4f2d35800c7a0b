//! What the server can be told: flags, then environment, then the file of `--config`, then defaults.

mod access;
mod life;
mod limits;
mod telemetry;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum};

pub use access::{Access, Mode};
pub use life::Life;
pub use limits::Limits;
pub use telemetry::{DecisionLogMode, DecisionLogQuestion, DecisionLogTarget, LogFormat, Ratio, Telemetry};

/// Policy decision point for Kubernetes: answers Admit, CheckFlow and Authorize over gRPC.
#[derive(Clone, Debug, Parser)]
#[command(name = "gavel-server", version, after_help = EXAMPLES)]
pub struct Config {
    /// YAML file with any of these settings, by their long names (`listen: [...]`). Flags and environment win
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
    #[arg(long, value_name = "SECONDS", env = "GAVEL_UNREADY_AFTER_SECONDS", default_value_t = 300)]
    pub unready_after_seconds: u64,

    /// How long a watch lasts before it is renewed, in seconds: idle watches are heard from that often, and one that
    /// is silent for 5 seconds longer has stalled
    #[arg(long, value_name = "SECONDS", env = "GAVEL_WATCH_SECONDS", default_value_t = 10)]
    pub watch_seconds: u32,

    /// Use streaming lists where the API server has them (Kubernetes 1.34 and later do by default)
    #[arg(long, value_name = "BOOL", env = "GAVEL_STREAMING_LISTS", default_value_t = true, action = ArgAction::Set)]
    pub streaming_lists: bool,

    /// How long a request may wait for a snapshot that is as fresh as it asks for, in seconds
    #[arg(long, value_name = "SECONDS", env = "GAVEL_MAX_WAIT_SECONDS", default_value_t = 30)]
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
    #[arg(long, value_name = "SECONDS", env = "GAVEL_POLL_SECONDS", default_value_t = 10)]
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

impl Config {
    /// Reads command line, environment and configuration file.
    ///
    /// # Errors
    /// What clap says of the command line; of the file: which key of it is wrong, and how.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let mut command = Self::command();
        // Only to find --config: whatever else is wrong is told below, once.
        let file = Self::command()
            .ignore_errors(true)
            .try_get_matches_from(&arguments)
            .ok()
            .and_then(|matches| matches.get_one::<PathBuf>("config").cloned());
        if let Some(path) = file {
            command = with_file(command, &path)?;
        }
        let matches = command.try_get_matches_from_mut(&arguments)?;
        let config = Self::from_arg_matches(&matches)?;
        config.check().map_err(|message| command.error(clap::error::ErrorKind::ValueValidation, message))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let reachable = |address: &SocketAddr| !address.ip().is_loopback();
        for listen in &self.listen {
            if let Listen::Tcp(address) = listen
                && reachable(address)
                && !self.access.insecure
            {
                if !self.access.is_authenticated() {
                    return Err(format!(
                        "--listen {address} can be reached by others, and callers are not authenticated: say \
                         --tls-client-ca, --token-review or --token-keys, listen on a loopback address or a unix \
                         socket, or say --insecure"
                    ));
                }
                if self.access.tls_cert.is_none() {
                    return Err(format!(
                        "--listen {address} can be reached by others, and tokens would travel in clear: say --tls-cert \
                         and --tls-key, or --insecure"
                    ));
                }
            }
        }
        if reachable(&self.admin_listen) && !self.access.admin_insecure {
            return Err(format!(
                "--admin-listen {} can be reached by others: listen on a loopback address, or say --admin-insecure",
                self.admin_listen
            ));
        }
        if self.access.tls_cert.is_some() != self.access.tls_key.is_some() {
            return Err("--tls-cert and --tls-key go together".to_owned());
        }
        if self.access.tls_client_ca.is_some() && self.access.tls_cert.is_none() {
            return Err("--tls-client-ca goes with --tls-cert and --tls-key".to_owned());
        }
        if self.evaluators.contains(&Evaluator::None) && self.evaluators.len() > 1 {
            return Err("--evaluators none goes with no other evaluator".to_owned());
        }
        if !self.cluster && self.manifests.is_empty() {
            return Err("say --manifests PATH…, or --cluster: where do objects come from?".to_owned());
        }
        if self.cluster && !self.manifests.is_empty() {
            return Err("--cluster goes without --manifests: objects come from one of the two".to_owned());
        }
        if self.watch_seconds < 5 {
            // Bookmarks come two seconds before the end.
            return Err("--watch-seconds must be at least 5".to_owned());
        }
        if !self.cluster {
            let of_a_cluster = [
                ("--kubeconfig", self.kubeconfig.is_some()),
                ("--context", self.context.is_some()),
                ("--state-dir", self.state_dir.is_some()),
            ];
            if let Some((flag, _)) = of_a_cluster.iter().find(|(_, is_set)| *is_set) {
                return Err(format!("{flag} goes with --cluster"));
            }
        }
        Ok(())
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

/// Makes the file's settings the defaults, so that environment and flags win over them.
fn with_file(mut command: clap::Command, path: &Path) -> Result<clap::Command, clap::Error> {
    let fail = |message: String| {
        let message = format!("{}: {message}", path.display());
        Config::command().error(clap::error::ErrorKind::ValueValidation, message)
    };
    let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    let settings: serde_json::Map<String, serde_json::Value> =
        serde_saphyr::from_str(&text).map_err(|error| fail(error.to_string()))?;
    for (key, value) in settings {
        let id = key.replace('-', "_");
        let known = command.get_arguments().any(|argument| argument.get_id() == id.as_str());
        if !known || id == "config" {
            return Err(fail(format!("{key}: there is no such setting")));
        }
        let values = scalars(&value)
            .ok_or_else(|| fail(format!("{key}: must be a single value, or a list of single values")))?;
        command = command.mut_arg(id, |argument| argument.required(false).default_values(values));
    }
    Ok(command)
}

fn scalars(value: &serde_json::Value) -> Option<Vec<clap::builder::OsStr>> {
    match value {
        serde_json::Value::String(text) => Some(vec![text.clone().into()]),
        serde_json::Value::Bool(_) | serde_json::Value::Number(_) => Some(vec![value.to_string().into()]),
        serde_json::Value::Array(items) => {
            let lists: Option<Vec<_>> = items.iter().map(scalars).collect();
            Some(lists?.concat())
        }
        serde_json::Value::Null | serde_json::Value::Object(_) => None,
    }
}
