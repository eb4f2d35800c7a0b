//! What came of the questions.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Latencies are told apart by a thousandth of themselves.
const DIGITS: u8 = 3;
/// The longest that is told apart, an hour in nanoseconds; deadlines are far shorter.
const LONGEST: u64 = 3_600_000_000_000;
/// Different failures that are told; the rest is only counted.
const TOLD: usize = 20;
/// Which quantiles are told, and what they are called.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// What came of the questions.
#[derive(Clone, Debug)]
pub struct Results {
    /// How long the answers took, failures too, in nanoseconds: in an open loop from when they were due.
    pub latency: Histogram<u64>,
    /// How late the driver itself asked, in nanoseconds; part of the latency. Only an open loop has it.
    pub late: Histogram<u64>,
    /// What went wrong, and how often.
    pub failures: BTreeMap<String, u64>,
    /// From the first question to the last answer.
    pub elapsed: Duration,
}

impl Default for Results {
    fn default() -> Self {
        Self { latency: histogram(), late: histogram(), failures: BTreeMap::new(), elapsed: Duration::ZERO }
    }
}

#[expect(
    clippy::expect_used,
    reason = "fails for other bounds and numbers of digits alone, and these are constants"
)]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("bounds that there are")
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Results {
    /// Counts one answer.
    pub fn record(&mut self, took: Duration, outcome: Result<(), String>) {
        self.latency.saturating_record(nanos(took));
        if let Err(why) = outcome {
            let why = if self.failures.len() < TOLD { why } else { "others".to_owned() };
            *self.failures.entry(why).or_insert(0) += 1;
        }
    }

    pub(crate) fn record_late(&mut self, late: Duration) {
        self.late.saturating_record(nanos(late));
    }

    /// Adds what came of other questions, beside these or after them; the time stays as it is.
    pub fn add(&mut self, other: &Results) {
        // Fails only for a histogram of other bounds.
        let _ = self.latency.add(&other.latency);
        let _ = self.late.add(&other.late);
        for (why, count) in &other.failures {
            *self.failures.entry(why.clone()).or_insert(0) += count;
        }
    }

    /// Answers, failures among them.
    pub fn answered(&self) -> u64 {
        self.latency.len()
    }

    /// Answers that were wrong, or none.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// How long it took at most in this part of all cases: 0.99 of them, for instance.
    pub fn quantile(&self, part: f64) -> Duration {
        Duration::from_nanos(self.latency.value_at_quantile(part))
    }

    /// Answers a second.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub fn per_second(&self) -> f64 {
        self.answered() as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// All of it, for programs; times in microseconds.
    pub fn to_json(&self) -> Value {
        let micros = |histogram: &Histogram<u64>| -> serde_json::Map<String, Value> {
            QUANTILES
                .iter()
                .map(|(name, part)| {
                    let micros = Duration::from_nanos(histogram.value_at_quantile(*part)).as_secs_f64() * 1e6;
                    ((*name).to_owned(), json!(micros))
                })
                .collect()
        };
        json!({
            "answered": self.answered(),
            "failed": self.failed(),
            "failures": self.failures,
            "seconds": self.elapsed.as_secs_f64(),
            "perSecond": self.per_second(),
            "latencyMicroseconds": micros(&self.latency),
            "lateMicroseconds": micros(&self.late),
        })
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} answers in {:.2?} ({:.0} a second), {} failed; latency",
            self.answered(),
            self.elapsed,
            self.per_second(),
            self.failed()
        )?;
        for (name, part) in QUANTILES {
            write!(f, " {name} {:.1?}", self.quantile(part))?;
        }
        if !self.late.is_empty() {
            let late = Duration::from_nanos(self.late.value_at_quantile(0.99));
            write!(f, " (asked late by p99 {late:.1?})")?;
        }
        for (why, count) in &self.failures {
            write!(f, "\n  {count} times: {why}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told() {
        let mut results = Results::default();
        for micros in 1..=100 {
            results.record(Duration::from_micros(micros), Ok(()));
        }
        results.record(Duration::from_micros(100), Err("refused".to_owned()));
        results.elapsed = Duration::from_secs(1);
        assert_eq!((results.answered(), results.failed()), (101, 1));
        let json = results.to_json();
        assert_eq!(json["failures"]["refused"], 1);
        let p50 = json["latencyMicroseconds"]["p50"].as_f64().unwrap();
        assert!((50.0..52.0).contains(&p50), "{p50}");
        assert!(results.to_string().contains("\n  1 times: refused"), "{results}");
    }

    #[test]
    fn a_flood_of_failures_is_counted_and_not_all_told() {
        let mut results = Results::default();
        for number in 0..1000 {
            results.record(Duration::ZERO, Err(number.to_string()));
        }
        assert_eq!(results.failed(), 1000);
        assert_eq!(results.failures.len(), TOLD + 1);
    }
}
