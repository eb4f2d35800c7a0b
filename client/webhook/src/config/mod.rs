//! What the webhook can be told: flags, then environment, then the file of `--config`, then defaults.

mod callers;
mod issue;
mod servers;
mod traces;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use gavel_config::Purpose;
use gavel_tls::{ClientFiles, ClientTls, ServerFiles, ServerTls};

use crate::listener::Tls;

pub use callers::Callers;
pub use issue::{Issue, IssueCertificate, SecretName};
pub use servers::Access;
pub use traces::Traces;

/// Admission webhook: answers a Kubernetes API server's AdmissionReviews with the decisions of gavel-server.
#[derive(Debug, Parser)]
#[command(
    name = "gavel-webhook",
    version,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
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
    /// Print this, the settings in effect, and end.
    Print(String),
    /// Issue a certificate, and end.
    IssueCertificate(IssueCertificate),
}

/// The settings of a webhook that serves.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// Replicas of gavel-server: HOST:PORT (every address of the host), https://HOST:PORT, http://HOST:PORT or
    /// unix:PATH. May be repeated
    #[arg(long, value_name = "ADDR", env = "GAVEL_WEBHOOK_SERVER", num_args = 1.., value_delimiter = ',', required = true)]
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
    #[arg(long, value_name = "FILE", env = "GAVEL_WEBHOOK_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", env = "GAVEL_WEBHOOK_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Issue the certificate here, where there is no cert-manager: kept in this Secret, which all replicas share, and
    /// renewed in time. Needs --dns-name and --webhook-configuration
    #[arg(
        long,
        value_name = "NAMESPACE/SECRET",
        env = "GAVEL_WEBHOOK_SELF_ISSUED",
        conflicts_with = "tls_cert",
        requires_all = ["dns_name", "webhook_configuration"]
    )]
    pub self_issued: Option<SecretName>,

    /// What a certificate issued here is for, and who has to trust it
    #[command(flatten)]
    pub issue: Issue,

    /// What to answer when no server answers in time: refuse the request, or let it pass with a warning
    #[arg(long, value_name = "ANSWER", env = "GAVEL_WEBHOOK_ON_UNAVAILABLE", default_value = "deny")]
    pub on_unavailable: OnUnavailable,

    /// Largest review taken, in bytes. An API server takes objects of up to 3 MiB, and a review may carry two
    #[arg(long, value_name = "BYTES", env = "GAVEL_WEBHOOK_MAX_REQUEST_BYTES", default_value_t = 8 * 1024 * 1024)]
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
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub reload_seconds: u64,

    /// How long to go on serving once the webhook was told to stop and readiness is gone, in seconds: until API servers
    /// have heard that it leaves
    #[arg(long, value_name = "SECONDS", env = "GAVEL_WEBHOOK_DRAIN_DELAY_SECONDS", default_value_t = 0)]
    pub drain_delay_seconds: u64,

    /// How long requests in flight may take after that, in seconds
    #[arg(long, value_name = "SECONDS", env = "GAVEL_WEBHOOK_DRAIN_SECONDS", default_value_t = 20)]
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
/// What is wrong with them, all of it at once.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    let fail = |errors: &[String]| Err(gavel_config::fail(command(), errors));
    let program = gavel_config::Program { prefix: "GAVEL_WEBHOOK_", others: &[] };
    let read: gavel_config::Read<Arguments> = gavel_config::read(command(), program, arguments)?;
    let (purpose, warnings, printed) = (read.purpose, read.warnings.clone(), read.print());
    let Arguments { command, file: _, config } = read.settings;
    match command {
        Some(Other::IssueCertificate(arguments)) if arguments.issue.dns_name.is_empty() => {
            fail(&["--dns-name must be given: what is the certificate for?".to_owned()])
        }
        Some(Other::IssueCertificate(arguments)) => Ok(Command::IssueCertificate(arguments)),
        None => {
            let errors = config.errors();
            if !errors.is_empty() {
                return fail(&errors);
            }
            let config = Box::new(config);
            Ok(match purpose {
                Purpose::Run => Command::Serve(config, warnings),
                Purpose::Check => Command::Check(config, warnings),
                Purpose::Print => Command::Print(printed),
            })
        }
    }
}

/// All that the webhook can be told.
pub fn command() -> clap::Command {
    Arguments::command()
}

impl Config {
    /// What cannot go together.
    fn errors(&self) -> Vec<String> {
        let wrong = [
            (
                !self.admin_listen.ip().is_loopback() && !self.admin_insecure,
                "--admin-listen can be reached by others, who would see figures and the servers' addresses: listen on \
                 a loopback address, or say --admin-insecure",
            ),
            (
                self.tls_cert.is_none() && self.self_issued.is_none(),
                "--tls-cert FILE and --tls-key FILE, or --self-issued NAMESPACE/SECRET, must be given: what is HTTPS \
                 served with?",
            ),
            (self.max_request_bytes == 0, "--max-request-bytes must be at least 1"),
        ];
        wrong.iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, why)| (*why).to_owned()).collect()
    }

    /// What the settings name, and cannot be used; what can be used, and is not as it should be, goes to `warnings`.
    /// Nothing is bound, and nobody is asked.
    pub fn file_errors(&self, warnings: &mut Vec<String>) -> Vec<String> {
        let mut errors = Vec::new();
        let mut told = |what: &str, found: Result<Vec<String>, gavel_tls::Error>| match found {
            Ok(found) => warnings.extend(found.into_iter().map(|warning| format!("{what}: {warning}"))),
            Err(error) => errors.push(format!("{what}: {error}")),
        };
        if let Some((cert, key)) = self.tls_cert.clone().zip(self.tls_key.clone()) {
            let files = ServerFiles { cert, key, client_ca: None, client_crl: None };
            told("HTTPS", ServerTls::load(&files, &[b"h2"]).map(|(_, warnings)| warnings));
        }
        let Access { server_ca, client_cert, client_key, .. } = &self.access;
        if let Some(ca) = server_ca.clone() {
            let files = ClientFiles { ca, cert_and_key: client_cert.clone().zip(client_key.clone()) };
            // What cannot be used is told below.
            told(
                "--server",
                Ok(ClientTls::load(&files, &[b"h2"]).map(|(_, found)| found).unwrap_or_default()),
            );
        }
        if let Some(path) = &self.callers.client_ca {
            errors.extend(Tls::check(path).err().map(|error| format!("--client-ca: {error}")));
        }
        let security = self.access.security(self.reload());
        errors.extend(
            gavel_client::check(&self.server, &security).iter().map(|error| format!("--server: {error}")),
        );
        if let Some(path) = &self.issue.kubeconfig
            && let Err(error) = std::fs::File::open(path)
        {
            errors.push(format!("--kubeconfig {}: {error}", path.display()));
        }
        errors.extend(gavel_telemetry::check(&self.log).err().map(|error| error.to_string()));
        errors
    }

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
