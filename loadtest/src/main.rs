//! Questions asked at a rate, or as fast as can be: `gavel-loadtest --help`.

mod ask;
mod generate;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use gavel_loadtest::echo::{self, Listen, Mode};
use gavel_loadtest::telemetry_cost::{self, TelemetryCost};
use gavel_loadtest::{peers, report};

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
    Run(Box<ask::Run>),
    /// Write a realistic cluster, and questions about it: the same for the same numbers
    Generate(generate::Generate),
    /// Serve the floor: tonic with empty handlers, for messages of any size
    Echo(Echo),
    /// Measure everything side by side, and write a report: starts servers and echoes
    Report(Report),
    /// Compare with others on the same questions: cyclonus, OPA, Kubernetes 1.24, pod-security-admission (needs Go)
    Peers(Peers),
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
struct Report {
    /// Folder to write report.md, its plots and figures.json into
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The server's program; else the one beside this program
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Rounds, in each of which everything is asked
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    rounds: usize,
    /// How long each is asked in a round
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    window_seconds: f64,
    /// Pods of the large cluster
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000)]
    pods: u32,
    /// Only find out whether everything runs, and answers are right: a few seconds, and no time means anything
    #[arg(long)]
    quick: bool,
}

#[derive(Debug, Args)]
struct Peers {
    /// Folder to write peers.md and peers.json into
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The server's program; else the one beside this program
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// The Go modules: loadtest/peers of this repository
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/peers"))]
    modules: PathBuf,
    /// Pairs of windows of each comparison
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    rounds: usize,
    /// How long each is asked in a round
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    window_seconds: f64,
    /// Pods of the cluster
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    pods: u32,
    /// Different questions of each kind, at least 100
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    questions: usize,
}

impl Peers {
    async fn execute(self) -> anyhow::Result<()> {
        let table = peers::measure(&peers::Peers {
            server: beside(self.program)?,
            modules: self.modules,
            rounds: self.rounds.max(1),
            window: Duration::try_from_secs_f64(self.window_seconds).context("--window-seconds")?,
            pods: self.pods,
            questions: self.questions.max(100),
        })
        .await?;
        table.write(&self.out)?;
        print!("{}", table.markdown());
        Ok(())
    }
}

impl Report {
    async fn execute(self) -> anyhow::Result<()> {
        let figures = report::measure(&report::Report {
            server: beside(self.program)?,
            loadtest: std::env::current_exe()?,
            rounds: self.rounds,
            window: Duration::try_from_secs_f64(self.window_seconds).context("--window-seconds")?,
            pods: self.pods,
            quick: self.quick,
        })
        .await?;
        report::write(&figures, &self.out)?;
        println!("{}", self.out.join("report.md").display());
        Ok(())
    }
}

/// The server's program: this one, or the one beside this program.
fn beside(program: Option<PathBuf>) -> std::io::Result<PathBuf> {
    match program {
        Some(program) => Ok(program),
        None => Ok(std::env::current_exe()?.with_file_name("gavel-server")),
    }
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
            let answered = command.execute().await?;
            match command.output {
                Output::Text => println!("{answered}"),
                Output::Json => println!("{}", answered.to_json()),
            }
            Ok(answered.results.failed() == 0)
        }
        What::Echo(_) => anyhow::bail!("an echo is not served within a runtime"),
        What::Report(command) => command.execute().await.map(|()| true),
        What::Peers(command) => command.execute().await.map(|()| true),
        What::Generate(command) => command.execute().map(|()| true),
        What::TelemetryCost(Cost { program, pairs, window_seconds, output }) => {
            let program = beside(program)?;
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
