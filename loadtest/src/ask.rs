//! `gavel-loadtest run`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use gavel_loadtest::echo::{Blob, EchoClient};
use gavel_loadtest::{FlowStream, Load, Pace, Questions, Results, Target, TargetSettings, lines};
use gavel_proto::v1::AnswerDetail;
use gavel_tls::ClientFiles;
use serde_json::{Value, json};

use crate::Output;

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The server: ADDRESS:PORT, or unix:PATH
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9470")]
    server: String,
    /// What is asked
    #[arg(long, value_name = "CALL", default_value = "check-flow")]
    call: Call,
    /// Manifests whose pods are asked about; the server has to know them, too
    #[arg(long, value_name = "PATH", num_args = 1..)]
    manifests: Vec<PathBuf>,
    /// Questions instead, as `generate` writes them: check-flow.jsonl, or admit.jsonl
    #[arg(long, value_name = "FILE", conflicts_with = "manifests")]
    questions: Option<PathBuf>,
    /// Of --call echo: bytes of each question and of each answer
    #[arg(long, value_name = "NUMBER", num_args = 2, value_names = ["QUESTION", "ANSWER"], default_values_t = [32, 128])]
    bytes: Vec<usize>,
    /// So many questions a call, or a message of --stream
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    batch: usize,
    /// By streams, one a connection: messages do not wait for the answers to those before them
    #[arg(long)]
    stream: bool,
    /// How much is wanted of the answers to --batch and --stream
    #[arg(long, value_name = "DETAIL", default_value = "full")]
    detail: Detail,
    /// Questions a second, whatever becomes of the answers (an open loop); else each worker asks again once it was
    /// answered
    #[arg(long, value_name = "NUMBER")]
    rate: Option<f64>,
    /// How many calls, or messages of streams, are asked at once, without --rate
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
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Call {
    CheckFlow,
    Admit,
    /// Messages of any size, of `gavel-loadtest echo`
    Echo,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Detail {
    /// Names, and a sentence
    Full,
    /// The verdict, and the codes of the reasons
    Verdict,
}

/// What came of it.
pub(crate) struct Answered {
    pub(crate) results: Results,
    /// Questions of each call or message.
    batch: usize,
}

impl Answered {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn questions_per_second(&self) -> f64 {
        self.results.per_second() * self.batch as f64
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut json = self.results.to_json();
        json["batch"] = json!(self.batch);
        json["questionsPerSecond"] = json!(self.questions_per_second());
        json
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.results)?;
        if self.batch > 1 {
            let a_second = self.questions_per_second();
            write!(f, "\n  {} questions each: {a_second:.0} questions a second", self.batch)?;
        }
        Ok(())
    }
}

impl Run {
    pub(crate) async fn execute(&self) -> anyhow::Result<Answered> {
        if let Call::Echo = self.call {
            return self.echo().await;
        }
        let batch = self.batch.max(1);
        let questions = self.questions()?;
        let target = self.target().await?;
        let load = self.load()?;
        let detail = match self.detail {
            Detail::Full => AnswerDetail::Full,
            Detail::Verdict => AnswerDetail::Verdict,
        };
        if self.stream {
            ensure!(matches!(self.call, Call::CheckFlow), "--stream: only --call check-flow has one");
            let messages = questions.messages(batch, detail).into();
            let results =
                gavel_loadtest::run_streams(load, self.connections, FlowStream { target, messages }).await;
            return Ok(Answered { results, batch });
        }
        let questions = Arc::new(if batch > 1 { questions.batched(batch, detail) } else { questions });
        let results = gavel_loadtest::run(load, move |number| {
            let (target, questions) = (target.clone(), questions.clone());
            async move {
                let question = questions.get(number)?.clone();
                target
                    .ask(number, question)
                    .await
                    .map_err(|status| format!("{:?}: {}", status.code(), status.message()))
            }
        })
        .await;
        Ok(Answered { results, batch })
    }

    async fn echo(&self) -> anyhow::Result<Answered> {
        ensure!(
            self.batch == 1 && !self.stream,
            "--call echo: one message a call, without --batch and --stream"
        );
        let client = EchoClient::connect(&self.server, self.connections).await?;
        let blob = match self.bytes.as_slice() {
            [question, answer] => Blob::of_size(*question, *answer),
            _ => anyhow::bail!("--bytes: two numbers"),
        };
        let results = gavel_loadtest::run(self.load()?, move |number| {
            let (client, blob) = (client.clone(), blob.clone());
            async move { client.unary(number, blob).await.map(drop).map_err(|status| status.to_string()) }
        })
        .await;
        Ok(Answered { results, batch: 1 })
    }

    fn questions(&self) -> anyhow::Result<Questions> {
        let has_none = self.manifests.is_empty() && self.questions.is_none();
        ensure!(!has_none, "what is to be asked? --manifests or --questions");
        match (self.call, &self.questions) {
            (Call::Echo, _) => anyhow::bail!("an echo is asked nothing"),
            (Call::CheckFlow, Some(file)) => Ok(lines::flows(file)?.into_iter().collect()),
            (Call::Admit, Some(file)) => Ok(lines::admissions(file)?.into_iter().collect()),
            (Call::CheckFlow, None) => Questions::check_flow(&self.manifests),
            (Call::Admit, None) => Questions::admit(&self.manifests),
        }
    }

    async fn target(&self) -> anyhow::Result<Target> {
        let token = self.token_file.as_ref().map(|path| {
            std::fs::read_to_string(path).with_context(|| format!("--token-file {}", path.display()))
        });
        let cert_and_key = self.client_cert.clone().zip(self.client_key.clone());
        let deadline = Duration::try_from_secs_f64(self.deadline_seconds).context("--deadline-seconds")?;
        Target::connect(&TargetSettings {
            address: self.server.clone(),
            connections: self.connections,
            tls: self.server_ca.clone().map(|ca| ClientFiles { ca, cert_and_key }),
            server_name: self.server_name.clone(),
            token: token.transpose()?,
            deadline,
        })
        .await
    }

    fn load(&self) -> anyhow::Result<Load> {
        let pace = match self.rate {
            Some(rate) => {
                ensure!(rate.is_normal() && rate > 0.0, "--rate must be more than 0");
                Pace::Open { per_second: rate, most_in_flight: self.in_flight.max(1) }
            }
            None => Pace::Closed { workers: self.workers.max(1) },
        };
        let duration = Duration::try_from_secs_f64(self.seconds).context("--seconds")?;
        Ok(Load { pace, duration })
    }
}
