//! What was measured, as plain data.

use std::time::Duration;

use serde::Serialize;

use crate::Results;
use crate::telemetry_cost::median;

/// All that a report tells.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Where it was measured.
    pub machine: Machine,
    /// Whether everything was as short as it can be: then no time in it means anything.
    pub quick: bool,
    /// How many answers were compared with those of the engine, asked offline.
    pub answers_compared: usize,
    /// Everything that is asked side by side.
    pub contest: Contest,
    /// CPU time of decoding an admission's pod with serde_json into k8s-openapi's `Pod`, in microseconds, round by round.
    pub decoding_micros: Vec<f64>,
    /// Bytes of questions and answers.
    pub sizes: Sizes,
    /// A large cluster.
    pub scale: Scale,
    /// Latencies while changes are applied.
    pub tail: Tail,
    /// Readers while a snapshot is built.
    pub readers: Readers,
}

/// Where, and when.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Processors that this program may use.
    pub cores: usize,
    /// Their model.
    pub model: String,
    /// The kernel's version.
    pub kernel: String,
    /// The compiler's.
    pub rustc: String,
    /// The day, in UTC.
    pub date: String,
}

/// Mean bytes of messages.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sizes {
    /// A question and an answer of CheckFlow.
    pub flow: (usize, usize),
    /// Of Admit with JSON.
    pub admit: (usize, usize),
    /// Of Admit with a message.
    pub typed: (usize, usize),
}

/// Those who are asked in turn, round after round.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Contest {
    /// How much of everything the cluster has, in words.
    pub cluster: String,
    /// Each with its rounds.
    pub contestants: Vec<Contestant>,
}

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub struct Contestant {
    /// What it is called.
    pub name: String,
    /// What came of it, round by round.
    pub rounds: Vec<Side>,
}

/// What came of one that was asked for a while.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// Questions that were answered.
    pub questions: u64,
    /// Questions a second.
    pub per_second: f64,
    /// CPU time of the server a question, in microseconds.
    pub server_micros: f64,
    /// CPU time of the one that asks, in microseconds.
    pub client_micros: f64,
    /// How long answers took, in microseconds: half of them, all but one of a hundred, all but one of a thousand.
    pub latency_micros: [f64; 3],
}

impl Side {
    /// Of results whose answers are to so many questions each.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn new(results: &Results, each: u64, server: Duration, client: Duration) -> Self {
        let questions = results.answered() * each;
        let micros = |cpu: Duration| cpu.as_secs_f64() * 1e6 / questions.max(1) as f64;
        Self {
            questions,
            per_second: results.per_second() * each as f64,
            server_micros: micros(server),
            client_micros: micros(client),
            latency_micros: [0.5, 0.99, 0.999].map(|part| results.quantile(part).as_secs_f64() * 1e6),
        }
    }
}

impl Contestant {
    /// The median of a figure of its rounds.
    pub fn median(&self, figure: impl Fn(&Side) -> f64) -> f64 {
        median(self.rounds.iter().map(figure))
    }
}

impl Contest {
    /// One of them, if it took part.
    pub fn get(&self, name: &str) -> Option<&Contestant> {
        self.contestants.iter().find(|contestant| contestant.name == name)
    }

    /// CPU time of a server a question, in units of another's: the median over the rounds, in each of which both were
    /// asked. None where one of them did not take part.
    pub fn ratio(&self, of: &str, against: &str) -> Option<f64> {
        let pairs = self.get(of)?.rounds.iter().zip(&self.get(against)?.rounds);
        Some(median(pairs.map(|(of, against)| of.server_micros / against.server_micros)))
    }
}

/// A large cluster, from a folder.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scale {
    /// How much of everything it has, in words.
    pub cluster: String,
    /// Its pods.
    pub pods: u32,
    /// Bytes of the manifests.
    pub manifest_bytes: usize,
    /// From the start of the process until it answers, in seconds, start by start.
    pub ready_seconds: Vec<f64>,
    /// CPU time until then.
    pub ready_cpu_seconds: f64,
    /// Most memory until then, in bytes.
    pub peak_bytes: u64,
    /// Memory once it is ready, in bytes.
    pub resident_bytes: u64,
    /// Memory of a server whose cluster differs in having fewer pods, in bytes, and those pods.
    pub fewer: (u64, u32),
}

impl Scale {
    /// What a pod more costs, in bytes, its workload with it.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub fn bytes_a_pod(&self) -> f64 {
        let more = self.pods.saturating_sub(self.fewer.1).max(1);
        self.resident_bytes.saturating_sub(self.fewer.0) as f64 / f64::from(more)
    }
}

/// Latencies of CheckFlow in an open loop, at rest and while changes are applied.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tail {
    /// How much of everything the cluster has, in words.
    pub cluster: String,
    /// Questions a second.
    pub rate: f64,
    /// Changes a second that were sent.
    pub changes_per_second: f64,
    /// Revisions a second that were made of them: what comes at once is applied at once.
    pub revisions_per_second: f64,
    /// Pairs of windows.
    pub pairs: Vec<TailPair>,
}

/// Two windows, one after the other.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TailPair {
    /// Without changes.
    pub rest: Side,
    /// With them.
    pub changes: Side,
}

impl Tail {
    /// p99.9 with changes, in units of that at rest: the median over the pairs.
    pub fn ratio(&self) -> f64 {
        median(self.pairs.iter().map(|pair| pair.changes.latency_micros[2] / pair.rest.latency_micros[2]))
    }
}

/// A thread that asks the engine while another has one large change applied.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readers {
    /// Objects of the change.
    pub objects: usize,
    /// How long it took to apply, in seconds.
    pub applied_seconds: f64,
    /// Questions that were answered meanwhile.
    pub answered: u64,
    /// How often the thread waited for anything, locks and memory included.
    pub waited: u64,
    /// How often its core was given to others.
    pub preempted: u64,
    /// How long answers took, in microseconds: half of them, all but one of a thousand, the slowest.
    pub took_micros: [f64; 3],
}
