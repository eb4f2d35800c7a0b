//! What telemetry costs: CPU time a question and questions a second, with all of it on against all of it off.
//!
//! Both servers run beside each other and are asked in turn, in short windows, so that what the machine does meanwhile
//! happens to both; each pair has servers of its own, since addresses and hash seeds make processes differ. The server
//! that is not asked is idle, and what it still sends of its last window is counted as its own.
//!
//! *On* is OTLP traces of 1 % of the calls to a receiver on this machine, the decision log of 1 %, and logs as JSON.
//! Metrics cannot be switched off, and are in both.

mod receiver;
mod server;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::{Load, Pace, Questions, Results};
use receiver::Receiver;
use server::Server;

/// Windows of each server, in a pair.
const WINDOWS: usize = 4;
/// How many ask at once.
const WORKERS: usize = 16;
/// Before anything is measured: code, caches and connections warm up.
const WARM_UP: Duration = Duration::from_millis(500);

/// What is measured.
#[derive(Clone, Debug)]
pub struct TelemetryCost {
    /// `gavel-server`.
    pub program: PathBuf,
    /// Pairs of servers.
    pub pairs: usize,
    /// How long each server is asked at a time; four times in a pair.
    pub window: Duration,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Cost {
    pairs: Vec<Pair>,
    /// Bytes that the receiver was sent.
    received: u64,
}

/// One pair.
#[derive(Clone, Debug)]
struct Pair {
    off: Side,
    on: Side,
}

/// One server of a pair.
#[derive(Clone, Debug, Default)]
struct Side {
    results: Results,
    cpu: Duration,
}

impl Side {
    /// CPU time a question, in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.results.answered().max(1) as f64
    }
}

/// Measures it.
///
/// # Errors
/// When a server does not start, or does not answer.
pub async fn measure(what: &TelemetryCost) -> anyhow::Result<Cost> {
    ensure!(what.pairs > 0, "no pairs");
    let receiver = Receiver::start().await?;
    let folder = tempfile::tempdir()?;
    let manifests = folder.path().join("manifests.yaml");
    std::fs::write(&manifests, server::manifests())?;
    let questions = Arc::new(Questions::check_flow(std::slice::from_ref(&manifests))?);
    let mut pairs = Vec::new();
    for number in 0..what.pairs {
        let off = Server::start(&what.program, &manifests, &server::off(), folder.path()).await?;
        let on =
            Server::start(&what.program, &manifests, &server::on(receiver.address), folder.path()).await?;
        let mut pair = Pair { off: Side::default(), on: Side::default() };
        for server in [&off, &on] {
            asked(server, &questions, WARM_UP).await?;
        }
        let before = (off.cpu()?, on.cpu()?);
        for window in 0..WINDOWS {
            // Neither is always the first.
            let on_is_first = (number + window).is_multiple_of(2);
            for is_on in [on_is_first, !on_is_first] {
                let (server, side) = if is_on { (&on, &mut pair.on) } else { (&off, &mut pair.off) };
                let results = asked(server, &questions, what.window).await?;
                side.results.add(&results);
                side.results.elapsed += results.elapsed;
            }
        }
        (pair.off.cpu, pair.on.cpu) = (off.cpu()? - before.0, on.cpu()? - before.1);
        pairs.push(pair);
        off.stop().await?;
        // Told to stop, it sends what is left.
        on.stop().await?;
    }
    let received = receiver.bytes();
    ensure!(received > 0, "the receiver was sent nothing: telemetry was not on");
    Ok(Cost { pairs, received })
}

async fn asked(server: &Server, questions: &Arc<Questions>, duration: Duration) -> anyhow::Result<Results> {
    let load = Load { pace: Pace::Closed { workers: WORKERS }, duration };
    let results = server.target.ask_all(questions, load).await;
    ensure!(results.failed() == 0, "questions were not answered: {results}");
    Ok(results)
}

impl Cost {
    /// CPU time a question with telemetry, in units of that without: the median of the pairs.
    pub fn cpu_ratio(&self) -> f64 {
        median(self.pairs.iter().map(|pair| pair.on.micros() / pair.off.micros()))
    }

    /// Questions a second with telemetry, in units of those without: the median of the pairs.
    pub fn throughput_ratio(&self) -> f64 {
        median(self.pairs.iter().map(|pair| pair.on.results.per_second() / pair.off.results.per_second()))
    }

    /// All of it, for programs.
    pub fn to_json(&self) -> Value {
        let side =
            |side: &Side| json!({"cpuMicrosecondsAQuestion": side.micros(), "load": side.results.to_json()});
        let pairs = self.pairs.iter().map(|pair| json!({"off": side(&pair.off), "on": side(&pair.on)}));
        json!({
            "cpuRatio": self.cpu_ratio(),
            "throughputRatio": self.throughput_ratio(),
            "receivedBytes": self.received,
            "pairs": pairs.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Pair { off, on }) in self.pairs.iter().enumerate() {
            writeln!(
                f,
                "pair {}: CPU {:.2} -> {:.2} µs a question ({:+.1} %), {:.0} -> {:.0} questions a second ({:+.1} %)",
                number + 1,
                off.micros(),
                on.micros(),
                percent(on.micros() / off.micros()),
                off.results.per_second(),
                on.results.per_second(),
                percent(on.results.per_second() / off.results.per_second()),
            )?;
        }
        write!(
            f,
            "median of {}: telemetry costs {:+.1} % CPU a question, and changes throughput by {:+.1} % \
             (OTLP received: {} bytes)",
            self.pairs.len(),
            percent(self.cpu_ratio()),
            percent(self.throughput_ratio()),
            self.received
        )
    }
}

fn percent(ratio: f64) -> f64 {
    (ratio - 1.0) * 100.0
}

/// The middle one; of an even number, the mean of both.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => f64::NAN,
        (count, middle) if count.is_multiple_of(2) => f64::midpoint(values[middle - 1], values[middle]),
        (_, middle) => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median([4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median([]).is_nan());
    }
}
