//! Questions asked at a rate, or as fast as can be: `gavel-loadtest --help`.

mod generate;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use gavel_loadtest::echo::{self, Listen, Mode};
use gavel_loadtest::telemetry_cost::{self, TelemetryCost};
use gavel_loadtest::{Load, Pace, Questions, Results, Target, TargetSettings};
use gavel_tls::ClientFiles;

/// Asks a server questions about manifests, and tells how long the answers took.
#[derive(Debug, Parser)]
#[command(name = "gavel-loadtest", version)]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Ask a server that runs
    Run(Box<Run>),
    /// Write a realistic cluster, and questions about it: the same for the same numbers
    Generate(generate::Generate),
    /// Serve the floor: tonic with empty handlers, for messages of any size
    Echo(Echo),
    /// Measure what a server's telemetry costs: starts servers with and without it, one after the other
    TelemetryCost(Cost),
}

#[derive(Debug, Args)]
struct Echo {
    /// Where: ADDRESS:PORT, or unix:PATH; several times for several
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9480")]
    listen: Vec<Listen>,
    /// How many runtimes
    #[arg(long, value_name = "MODE", default_value = "multi-thread")]
    runtime: Mode,
}

#[derive(Debug, Args)]
struct Run {
    /// The server: ADDRESS:PORT, or unix:PATH
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9470")]
    server: String,
    /// What is asked
    #[arg(long, value_name = "CALL", default_value = "check-flow")]
    call: Call,
    /// Manifests whose pods are asked about; the server has to know them, too
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    manifests: Vec<PathBuf>,
    /// Questions a second, whatever becomes of the answers (an open loop); else each worker asks again once it was
    /// answered
    #[arg(long, value_name = "NUMBER")]
    rate: Option<f64>,
    /// How many ask at once, without --rate
    #[arg(long, value_name = "NUMBER", default_value_t = 16, conflicts_with = "rate")]
    workers: usize,
    /// How many answers may be waited for at once, with --rate
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    in_flight: usize,
    /// Connections
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    connections: usize,
    /// For how long questions are asked
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    seconds: f64,
    /// How long an answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    deadline_seconds: f64,
    /// Ask over TLS, of servers with a certificate of this authority
    #[arg(long, value_name = "FILE")]
    server_ca: Option<PathBuf>,
    /// Name in the server's certificate; else the host of the address
    #[arg(long, value_name = "NAME", requires = "server_ca")]
    server_name: Option<String>,
    /// A certificate of one's own
    #[arg(long, value_name = "FILE", requires_all = ["client_key", "server_ca"])]
    client_cert: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// A file with a token that is sent along
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How the results are told
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Debug, Args)]
struct Cost {
    /// The server's program; else the one beside this program
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Pairs of a server with telemetry and one without
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    pairs: usize,
    /// How long each server is asked at a time, four times in a pair
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    window_seconds: f64,
    /// How the results are told
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Call {
    CheckFlow,
    Admit,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Text,
    Json,
}

fn main() -> ExitCode {
    let done = match Command::parse().what {
        // It makes runtimes of its own.
        What::Echo(Echo { listen, runtime }) => echo::serve(&listen, runtime).map(|()| true),
        what => tokio::runtime::Runtime::new()
            .map_err(anyhow::Error::from)
            .and_then(|runtime| runtime.block_on(execute(what))),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("gavel-loadtest: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// False when a question was not answered.
async fn execute(what: What) -> anyhow::Result<bool> {
    match what {
        What::Run(command) => {
            let results = run(&command).await?;
            match command.output {
                Output::Text => println!("{results}"),
                Output::Json => println!("{}", results.to_json()),
            }
            Ok(results.failed() == 0)
        }
        What::Echo(_) => anyhow::bail!("an echo is not served within a runtime"),
        What::Generate(command) => command.execute().map(|()| true),
        What::TelemetryCost(Cost { program, pairs, window_seconds, output }) => {
            let program = match program {
                Some(program) => program,
                None => std::env::current_exe()?.with_file_name("gavel-server"),
            };
            let window = Duration::try_from_secs_f64(window_seconds).context("--window-seconds")?;
            let cost = telemetry_cost::measure(&TelemetryCost { program, pairs, window }).await?;
            match output {
                Output::Text => println!("{cost}"),
                Output::Json => println!("{}", cost.to_json()),
            }
            Ok(true)
        }
    }
}

async fn run(command: &Run) -> anyhow::Result<Results> {
    let token = command.token_file.as_ref().map(|path| {
        std::fs::read_to_string(path).with_context(|| format!("--token-file {}", path.display()))
    });
    let cert_and_key = command.client_cert.clone().zip(command.client_key.clone());
    let deadline = Duration::try_from_secs_f64(command.deadline_seconds).context("--deadline-seconds")?;
    let target = Target::connect(&TargetSettings {
        address: command.server.clone(),
        connections: command.connections,
        tls: command.server_ca.clone().map(|ca| ClientFiles { ca, cert_and_key }),
        server_name: command.server_name.clone(),
        token: token.transpose()?,
        deadline,
    })
    .await?;
    let questions = match command.call {
        Call::CheckFlow => Questions::check_flow(&command.manifests)?,
        Call::Admit => Questions::admit(&command.manifests)?,
    };
    let pace = match command.rate {
        Some(rate) => {
            anyhow::ensure!(rate.is_normal() && rate > 0.0, "--rate must be more than 0");
            Pace::Open { per_second: rate, most_in_flight: command.in_flight.max(1) }
        }
        None => Pace::Closed { workers: command.workers.max(1) },
    };
    let duration = Duration::try_from_secs_f64(command.seconds).context("--seconds")?;
    let questions = std::sync::Arc::new(questions);
    Ok(gavel_loadtest::run(Load { pace, duration }, move |number| {
        let (target, questions) = (target.clone(), questions.clone());
        async move {
            let question = questions.get(number)?.clone();
            target
                .ask(number, question)
                .await
                .map_err(|status| format!("{:?}: {}", status.code(), status.message()))
        }
    })
    .await)
}
