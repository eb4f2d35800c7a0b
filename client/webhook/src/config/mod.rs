//! What the webhook can be told: flags, then environment, then the file of `--config`, then defaults.

mod callers;
mod check;
mod issue;
mod traces;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use gavel_client::flags::Access;
use gavel_config::Purpose;

pub use callers::Callers;
pub use issue::{Issue, IssueCertificate, SecretName};
pub use traces::Traces;

/// Admission webhook: answers a Kubernetes API server's AdmissionReviews with the decisions of gavel-server.
#[derive(Debug, Parser)]
#[command(
    name = "gavel-webhook",
    version,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Other>,

    /// YAML file with any of these settings, by their long names (`server: [...]`). Flags and environment win over it
    #[arg(id = "config", long = "config", value_name = "FILE", env = "GAVEL_WEBHOOK_CONFIG")]
    file: Option<PathBuf>,

    #[command(flatten)]
    config: Config,
}

#[derive(Debug, Subcommand)]
enum Other {
    IssueCertificate(IssueCertificate),
}

/// What the process is to do.
#[derive(Debug)]
pub enum Command {
    /// Answer reviews; with what may be mistakes in the settings.
    Serve(Box<Config>, Vec<String>),
    /// Check the settings, and end.
    Check(Box<Config>, Vec<String>),
    /// Print this, the settings in effect, and end; with what may be mistakes in them.
    Print(String, Vec<String>),
    /// Issue a certificate, and end.
    IssueCertificate(IssueCertificate),
}

/// The settings of a webhook that serves.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// Replicas of gavel-server: HOST:PORT (every address of the host), https://HOST:PORT, http://HOST:PORT or
    /// unix:PATH. May be repeated
    #[arg(long, value_name = "ADDR", env = "GAVEL_WEBHOOK_SERVER", num_args = 1.., value_delimiter = ',')]
    pub server: Vec<String>,

    /// How the servers are reached, and who asks them
    #[command(flatten)]
    pub access: Access,

    /// Where to serve HTTPS: /mutate and /validate. The API server must be able to reach it; whoever else can may ask
    /// what policies say of an object, unless --client-ca keeps them out
    #[arg(long, value_name = "ADDR", env = "GAVEL_WEBHOOK_LISTEN", default_value = "127.0.0.1:9443")]
    pub listen: SocketAddr,

    /// Where to serve /metrics, /livez and /readyz over HTTP
    #[arg(long, value_name = "ADDR", env = "GAVEL_WEBHOOK_ADMIN_LISTEN", default_value = "127.0.0.1:9444")]
    pub admin_listen: SocketAddr,

    /// Allow an --admin-listen that others can reach: they see figures, and the servers' addresses
    #[arg(long, env = "GAVEL_WEBHOOK_ADMIN_INSECURE")]
    pub admin_insecure: bool,

    /// Certificate chain to serve with, in PEM; read again whenever it changes
    #[arg(long, value_name = "FILE", env = "GAVEL_WEBHOOK_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", env = "GAVEL_WEBHOOK_TLS_KEY")]
    pub tls_key: Option<PathBuf>,

    /// Issue the certificate here, where there is no cert-manager: kept in this Secret, which all replicas share, and
    /// renewed in time. Needs --dns-name and --webhook-configuration
    #[arg(long, value_name = "NAMESPACE/SECRET", env = "GAVEL_WEBHOOK_SELF_ISSUED")]
    pub self_issued: Option<SecretName>,

    /// What a certificate issued here is for, and who has to trust it
    #[command(flatten)]
    pub issue: Issue,

    /// What to answer when no server answers in time: refuse the request, or let it pass with a warning
    #[arg(long, value_name = "ANSWER", env = "GAVEL_WEBHOOK_ON_UNAVAILABLE", default_value = "deny")]
    pub on_unavailable: OnUnavailable,

    /// Largest review taken, in bytes. An API server takes objects of up to 3 MiB, and a review may carry two
    #[arg(
        long,
        value_name = "BYTES",
        env = "GAVEL_WEBHOOK_MAX_REQUEST_BYTES",
        default_value_t = 8 * 1024 * 1024,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MOST_BYTES)
    )]
    pub max_request_bytes: usize,

    /// What a refused user reads: Kubernetes' words, followed by Gavel's where those say nothing; or Kubernetes' alone
    #[arg(long, value_name = "WORDS", env = "GAVEL_WEBHOOK_MESSAGES", default_value = "explained")]
    pub messages: Messages,

    /// Who may ask, and how much at a time
    #[command(flatten)]
    pub callers: Callers,

    /// How often the files of certificates and tokens are looked at, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_WEBHOOK_RELOAD_SECONDS",
        default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub reload_seconds: u64,

    /// How long to go on serving once the webhook was told to stop and readiness is gone, in seconds: until API servers
    /// have heard that it leaves
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_WEBHOOK_DRAIN_DELAY_SECONDS",
        default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(..=3600)
    )]
    pub drain_delay_seconds: u64,

    /// How long requests in flight may take after that, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_WEBHOOK_DRAIN_SECONDS",
        default_value_t = 20,
        value_parser = clap::value_parser!(u64).range(..=3600)
    )]
    pub drain_seconds: u64,

    /// Where traces go, and how many
    #[command(flatten)]
    pub traces: Traces,

    /// What to log: error, warn, info, debug, or filters such as `gavel_webhook=debug`
    #[arg(long, value_name = "FILTER", env = "GAVEL_WEBHOOK_LOG", default_value = "info")]
    pub log: String,

    /// How to log
    #[arg(long, value_name = "FORMAT", env = "GAVEL_WEBHOOK_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// Far more than an API server takes of an object, and sends in a review.
const MOST_BYTES: u64 = 1 << 30;

/// How the program's variables begin.
const PREFIX: &str = "GAVEL_WEBHOOK_";

const EXAMPLES: &str = "\
Examples:
  gavel-webhook --server gavel-server.gavel-system.svc:9470 --tls-cert tls.crt --tls-key tls.key --listen 0.0.0.0:9443
  gavel-webhook --server gavel-server.gavel-system.svc:9470 --self-issued gavel-system/gavel-webhook-tls \\
    --dns-name gavel-webhook.gavel-system.svc --webhook-configuration gavel

POST /mutate answers a mutating webhook, POST /validate a validating one.";

/// What to answer when no server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnUnavailable {
    /// Refuse: nothing is admitted that no policy has seen.
    Deny,
    /// Admit, with a warning and an audit annotation: nothing is held up.
    Allow,
}

/// What a refused user reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Messages {
    /// Kubernetes' words, and Gavel's after them where Kubernetes' say nothing.
    Explained,
    /// Kubernetes' words and nothing else.
    Kubernetes,
}

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
    let fail = |errors: &[String]| Err(gavel_config::fail(command(), errors));
    let program = gavel_config::Program { prefix: PREFIX, others: &[] };
    let read: gavel_config::Read<Arguments> = gavel_config::read(command(), program, arguments)?;
    let (purpose, mut warnings, printed) = (read.purpose, read.warnings.clone(), read.print());
    let Arguments { command, file: _, config } = read.settings;
    match command {
        Some(Other::IssueCertificate(arguments)) if arguments.issue.dns_name.is_empty() => {
            fail(&["--dns-name must be given: what is the certificate for?".to_owned()])
        }
        Some(Other::IssueCertificate(arguments)) => Ok(Command::IssueCertificate(arguments)),
        None => {
            warnings.extend(config.without_effect());
            // Whoever checks hears of the files, too, and of all at once.
            let errors = if purpose == Purpose::Check { Vec::new() } else { config.combination_errors() };
            if !errors.is_empty() {
                return fail(&errors);
            }
            let config = Box::new(config);
            Ok(match purpose {
                Purpose::Run => Command::Serve(config, warnings),
                Purpose::Check => Command::Check(config, warnings),
                Purpose::Print => Command::Print(printed, warnings),
            })
        }
    }
}

/// All that the webhook can be told.
pub fn command() -> clap::Command {
    gavel_config::with_variables::<Access>(Arguments::command(), PREFIX)
}

impl Config {
    /// How often files are looked at.
    pub fn reload(&self) -> Duration {
        Duration::from_secs(self.reload_seconds)
    }

    /// How long to go on serving once the webhook was told to stop.
    pub fn drain_delay(&self) -> Duration {
        Duration::from_secs(self.drain_delay_seconds)
    }

    /// How long requests in flight may take after that.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    /// The settings of a webhook for tests: free loopback ports, these servers, this certificate.
    pub fn local(server: Vec<String>, tls_cert: PathBuf, tls_key: PathBuf) -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            server,
            access: Access::default(),
            listen: loopback,
            admin_listen: loopback,
            admin_insecure: false,
            tls_cert: Some(tls_cert),
            tls_key: Some(tls_key),
            self_issued: None,
            issue: Issue::default(),
            on_unavailable: OnUnavailable::Deny,
            max_request_bytes: 8 * 1024 * 1024,
            messages: Messages::Explained,
            callers: Callers::default(),
            reload_seconds: 1,
            drain_delay_seconds: 0,
            drain_seconds: 5,
            traces: Traces::default(),
            log: "info".to_owned(),
            log_format: LogFormat::Text,
        }
    }
}
