//! Gavel beside others, on the same questions, whose answers have to be the same: `gavel-loadtest peers`.
//!
//! In process: one thread asks Gavel's engine, and a program in Go asks the peer's library. Over the wire: servers on
//! loopback. What is compared is CPU time a decision, of one's own process or of the server's; windows take turns.

mod admissions;
mod compare_flows;
mod flows;
mod go;
mod in_process;
mod opa;
mod selectors;
mod table;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use gavel_generator::{Cluster, Size};
use opa::Opa;
use serde_json::Value;

use crate::report::machine;

pub use table::{Row, Table};

/// What is compared, and how long.
#[derive(Clone, Debug)]
pub struct Peers {
    /// The program `gavel-server`.
    pub server: PathBuf,
    /// The folder of Go modules: `loadtest/peers`.
    pub modules: PathBuf,
    /// Pairs of windows of each comparison.
    pub rounds: usize,
    /// How long each is asked.
    pub window: Duration,
    /// Pods of the cluster that flows are asked about; a tenth as many policies.
    pub pods: u32,
    /// Different questions of each kind.
    pub questions: usize,
}

/// Compares.
///
/// # Errors
/// When Go is missing, a program cannot be built or does not answer, or an answer is not the same everywhere.
pub async fn measure(peers: &Peers) -> anyhow::Result<Table> {
    let folder = tempfile::tempdir()?;
    let size = Size {
        namespaces: (peers.pods / 100).max(3),
        pods: peers.pods,
        policies: peers.pods / 10,
        pod_security_policies: 10,
        bindings: (peers.pods / 10).max(2),
        seed: 1,
    };
    let cluster = Cluster::new(size)?;
    let world = folder.path().join("world");
    gavel_generator::write(&cluster, &world, 1, 1)
        .with_context(|| format!("cannot write {}", world.display()))?;
    let reading = gavel_source::manifests::read(&[world.join("manifests")]);
    ensure!(reading.errors.is_empty(), "{:?}", reading.errors.first());
    let objects = reading.objects.into_iter().map(|located| gavel_engine::Change::Upsert(located.item));
    let snapshot = gavel_engine::Snapshot::empty().apply(objects);
    let bench = Bench { peers, folder: folder.path(), manifests: &world.join("manifests") };
    let mut table = Table { machine: machine::machine(), cluster: size, rows: Vec::new() };
    table.rows.extend(bench.flows(&cluster, &snapshot).await?);
    table.rows.extend(bench.admissions(&cluster, &snapshot).await?);
    Ok(table)
}

/// What all comparisons have in common.
struct Bench<'a> {
    peers: &'a Peers,
    /// For programs, questions and logs.
    folder: &'a Path,
    manifests: &'a Path,
}

impl Bench<'_> {
    /// Builds a program of a module, once.
    fn build(&self, module: &str, package: &str) -> anyhow::Result<PathBuf> {
        let program = self.folder.join(module);
        if program.exists() {
            return Ok(program);
        }
        told(&format!("building {package} of {module}"));
        go::build(&self.peers.modules.join(module), package, &program)?;
        Ok(program)
    }

    /// Starts OPA with the policy of this name, and the data that it wants.
    async fn opa(&self, policy: &str, data: &Value) -> anyhow::Result<Opa> {
        let program = self.build("opa", "github.com/open-policy-agent/opa")?;
        let file = self.folder.join(format!("{policy}.json"));
        std::fs::write(&file, serde_json::to_vec(data)?)?;
        let policy = self.peers.modules.join(format!("opa/{policy}.rego"));
        Opa::start(&program, &[&policy, &file], &self.folder.join("opa.log")).await
    }
}

/// CPU time that a decision takes in this thread, in microseconds: all of them, again and again for a while.
fn micros(window: Duration, count: usize, decide: impl FnMut(usize)) -> f64 {
    micros_of(window, count, |index| index, decide)
}

/// The same of questions that are used up; making them does not count.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn micros_of<T>(window: Duration, count: usize, make: impl Fn(usize) -> T, mut decide: impl FnMut(T)) -> f64 {
    let began = Instant::now();
    let (mut decisions, mut spent) = (0, Duration::ZERO);
    while decisions == 0 || began.elapsed() < window {
        let some = decisions..decisions + count.min(200);
        decisions = some.end;
        let questions: Vec<T> = some.map(|number| make(number % count)).collect();
        let before = thread_cpu();
        questions.into_iter().for_each(&mut decide);
        spent += thread_cpu().saturating_sub(before);
    }
    spent.as_secs_f64() * 1e6 / decisions as f64
}

fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// # Errors
/// When the answers are not those of Gavel: the first question that is answered otherwise.
fn same(
    peer: &str,
    gavel: &[bool],
    answers: &[bool],
    question: impl Fn(usize) -> String,
) -> anyhow::Result<()> {
    ensure!(gavel.len() == answers.len(), "{peer}: {} answers to {} questions", answers.len(), gavel.len());
    let differs = gavel.iter().zip(answers).position(|(gavel, answer)| gavel != answer);
    if let Some(index) = differs {
        anyhow::bail!("{peer} says {}, Gavel {}: {}", answers[index], gavel[index], question(index));
    }
    // Else a peer that says always the same would do.
    ensure!(
        gavel.iter().any(|one| *one) && gavel.iter().any(|one| !*one),
        "{peer}: all answers are the same"
    );
    told(&format!("{peer}: {} answers are the same", answers.len()));
    Ok(())
}

/// What is being done, for whoever waits.
#[expect(clippy::print_stderr, reason = "it takes minutes, and somebody waits")]
fn told(what: &str) {
    eprintln!("{what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_differ_are_told() {
        let question = |index| format!("question {index}");
        assert!(same("peer", &[true, false], &[true, false], question).is_ok());
        let error = same("peer", &[true, false, true], &[true, false, false], question).unwrap_err();
        assert_eq!(error.to_string(), "peer says false, Gavel true: question 2");
        assert!(same("peer", &[true, false], &[true], question).is_err());
        assert!(same("peer", &[true, true], &[true, true], question).is_err());
    }

    #[test]
    fn time_is_that_of_this_thread() {
        let mut asked = Vec::new();
        let slept = micros(Duration::from_millis(20), 3, |index| {
            asked.push(index);
            std::thread::sleep(Duration::from_millis(1));
        });
        assert!(asked.len() >= 3 && asked[..3] == [0, 1, 2], "{asked:?}");
        assert!(slept < 900.0, "asleep, it takes no CPU time: {slept}");
    }
}
