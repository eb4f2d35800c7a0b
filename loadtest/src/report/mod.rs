//! Everything that is measured, side by side, in one report: Markdown, plots, and the figures as JSON.
//!
//! Servers and echoes are started on free ports and sockets, and asked in turn, round after round; what counts is CPU
//! time a question, and ratios within a round. Before anything is measured, answers are compared with the engine's.

mod changes;
mod claims;
mod contest;
mod decoding;
pub(crate) mod figures;
pub(crate) mod machine;
mod markdown;
mod plot;
mod readers;
mod right;
mod scale;
pub(crate) mod servers;
mod tail;
#[cfg(test)]
mod tests;
mod world;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};

pub use figures::{Contest, Contestant, Figures, Machine, Readers, Scale, Side, Sizes, Tail, TailPair};

use contest::Rounds;
use servers::Programs;
use world::World;

/// Pods of the cluster that most is measured with, and of one where nothing is.
const PODS: u32 = 1000;
const FEW_PODS: u32 = 500;

/// What is measured, and how long.
#[derive(Clone, Debug)]
pub struct Report {
    /// `gavel-server`.
    pub server: PathBuf,
    /// `gavel-loadtest`, for the echo.
    pub loadtest: PathBuf,
    /// Rounds of the contest, and pairs of windows.
    pub rounds: usize,
    /// How long each is asked in a round.
    pub window: Duration,
    /// Pods of the large cluster.
    pub pods: u32,
    /// Only whether everything runs, and answers are right.
    pub quick: bool,
}

/// Measures all of it.
///
/// # Errors
/// When a server does not start, a question is not answered, or answered otherwise than by the engine.
pub async fn measure(report: &Report) -> anyhow::Result<Figures> {
    ensure!(report.rounds > 0, "there must be a round");
    let folder = tempfile::tempdir()?;
    let programs = Programs {
        server: report.server.clone(),
        loadtest: report.loadtest.clone(),
        folder: folder.path().to_owned(),
    };
    let (pods, many) = if report.quick { (FEW_PODS, 2 * FEW_PODS) } else { (PODS, report.pods) };
    let world = World::new(pods, &folder.path().join("world"))?;
    let mut compared = 0;
    let mut sizes = Sizes::default();
    for mode in programs.modes()? {
        let served = programs.manifests(mode, &world.manifests).await?;
        let checked = right::check(&world, &served).await?;
        (compared, sizes) = (compared + checked.0, checked.1);
        served.stop().await?;
    }
    told(&format!("{compared} answers are right"));
    let (rounds, window) =
        if report.quick { (1, Duration::from_millis(50)) } else { (report.rounds, report.window) };
    let mut decoding_micros = Vec::new();
    let mut failed = None;
    let times = Rounds { rounds, window, warm_up: window / 5 };
    let contestants = contest::measure(&programs, &world, sizes, times, || {
        match decoding::micros(&world.admissions) {
            Ok(micros) => decoding_micros.push(micros),
            Err(error) => failed = Some(error),
        }
        told(&format!("round {} of {rounds}", decoding_micros.len()));
    })
    .await?;
    if let Some(error) = failed {
        return Err(error.context("decoding a pod"));
    }
    told("latency while changes are applied");
    let tail = tail::measure(&programs, &world, rounds, window * 4).await?;
    told("a large cluster");
    let large = World::new(many, &folder.path().join("large"))?;
    let fewer = World::of_pods(many / 5, many, &folder.path().join("fewer"))?;
    let scale = scale::measure(&programs, &large, &fewer, rounds.min(3)).await?;
    let readers = readers::measure(&large)?;
    Ok(Figures {
        machine: machine::machine(),
        quick: report.quick,
        answers_compared: compared,
        contest: Contest { cluster: world.words(), contestants },
        decoding_micros,
        sizes,
        scale,
        tail,
        readers,
    })
}

/// Writes `report.md`, `cpu.svg`, `latency.svg` and `figures.json` into a folder, which is made if it is not there.
///
/// # Errors
/// When something cannot be written.
pub fn write(figures: &Figures, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    std::fs::write(folder.join("report.md"), markdown::markdown(figures))?;
    std::fs::write(folder.join("figures.json"), serde_json::to_vec_pretty(figures)?)?;
    let cpu: Vec<(String, f64)> = figures
        .contest
        .contestants
        .iter()
        .map(|contestant| (contestant.name.clone(), contestant.median(|side| side.server_micros)))
        .collect();
    plot::bars(&folder.join("cpu.svg"), "CPU time of the server a question", "µs", &cpu)?;
    let mut latency = Vec::new();
    for (index, quantile) in ["p50", "p99", "p99.9"].into_iter().enumerate() {
        let middle = |side: fn(&TailPair) -> Side| {
            let sides = figures.tail.pairs.iter().map(side);
            crate::telemetry_cost::median(sides.map(|side| side.latency_micros[index]))
        };
        latency.push((format!("{quantile}, at rest"), middle(|pair| pair.rest)));
        latency.push((format!("{quantile}, while changes are applied"), middle(|pair| pair.changes)));
    }
    plot::bars(&folder.join("latency.svg"), "Latency of CheckFlow", "µs", &latency)
}

/// What is being done, for whoever waits.
#[expect(clippy::print_stderr, reason = "it takes minutes, and somebody waits")]
fn told(what: &str) {
    eprintln!("{what}");
}
