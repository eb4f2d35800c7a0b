//! The driver.
//!
//! An open loop asks at times that were fixed before, whatever becomes of the answers, and counts from those times: an
//! answer that is late also makes those late that should have been asked meanwhile, as it does for callers who do not
//! wait for each other. A driver that waits for an answer before it asks again leaves just these out ("coordinated
//! omission", Gil Tene, <https://www.azul.com/files/HowNotToMeasureLatency_LLSummit_NYC_12Nov2013.pdf>).

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::results::Results;

/// How often is asked.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// So many times a second, evenly, whatever becomes of the answers.
    Open {
        /// Questions a second.
        per_second: f64,
        /// How many may wait for their answers at once. What is due beyond that is asked late, and counted as late.
        most_in_flight: usize,
    },
    /// So many at once; each asks again as soon as it was answered.
    Closed {
        /// How many at once.
        workers: usize,
    },
}

/// What is done.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How often is asked.
    pub pace: Pace,
    /// For how long questions are asked. Answers are waited for.
    pub duration: Duration,
}

/// Asks until the time is over; `ask` is given the number of the question, and says what went wrong.
pub async fn run<F>(load: Load, ask: impl Fn(u64) -> F + Clone + Send + Sync + 'static) -> Results
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    match load.pace {
        Pace::Open { per_second, most_in_flight } => {
            open(per_second, most_in_flight, load.duration, ask).await
        }
        Pace::Closed { workers } => closed(workers, load.duration, ask).await,
    }
}

/// One answer: whether it was right, and how long it took.
type Answer = (Duration, Result<(), String>);

async fn open<F>(
    per_second: f64,
    most_in_flight: usize,
    duration: Duration,
    ask: impl Fn(u64) -> F,
) -> Results
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let started = Instant::now();
    let mut due = pacer(started, per_second, duration);
    let (answered, mut answers) = mpsc::unbounded_channel::<Answer>();
    let collected = tokio::spawn(async move {
        let mut results = Results::default();
        while let Some((took, outcome)) = answers.recv().await {
            results.record(took, outcome);
        }
        results
    });
    let room = Arc::new(Semaphore::new(most_in_flight));
    let mut late = Results::default();
    let mut number = 0;
    while let Some(intended) = due.recv().await {
        // The semaphore is never closed.
        let place = room.clone().acquire_owned().await;
        late.record_late(intended.elapsed());
        let (answer, answered) = (ask(number), answered.clone());
        number += 1;
        tokio::spawn(async move {
            let outcome = answer.await;
            drop(place);
            // The collector outlives all senders.
            let _ = answered.send((intended.elapsed(), outcome));
        });
    }
    drop(answered);
    let mut results = collected.await.unwrap_or_default();
    results.add(&late);
    results.elapsed = started.elapsed();
    results
}

/// The times at which questions are due, each told when it has come. By a thread: a runtime's timers count in
/// milliseconds, which is longer than an answer takes.
pub(crate) fn pacer(
    started: Instant,
    per_second: f64,
    duration: Duration,
) -> mpsc::UnboundedReceiver<Instant> {
    let (tell, due) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for number in 0_u32.. {
            let after = Duration::from_secs_f64(f64::from(number) / per_second);
            let intended = started + after;
            if after >= duration {
                return;
            }
            std::thread::sleep(intended.saturating_duration_since(Instant::now()));
            if tell.send(intended).is_err() {
                return;
            }
        }
    });
    due
}

async fn closed<F>(
    workers: usize,
    duration: Duration,
    ask: impl Fn(u64) -> F + Clone + Send + Sync + 'static,
) -> Results
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    let step = workers as u64;
    for first in 0..step {
        let ask = ask.clone();
        tasks.spawn(async move {
            let mut results = Results::default();
            let mut number = first;
            while started.elapsed() < duration {
                let asked = Instant::now();
                let outcome = ask(number).await;
                results.record(asked.elapsed(), outcome);
                number += step;
            }
            results
        });
    }
    let mut results = Results::default();
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(part) => results.add(&part),
            Err(error) => results.record(started.elapsed(), Err(format!("a worker panicked: {error}"))),
        }
    }
    results.elapsed = started.elapsed();
    results
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Latencies count from when a question was due: a single pause makes all late that were due meanwhile.
    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_left_out() {
        let pace = Pace::Open { per_second: 1000.0, most_in_flight: 1 };
        let pause = Duration::from_millis(200);
        let load = Load { pace, duration: Duration::from_millis(400) };
        let results = run(load, move |number| async move {
            if number == 100 {
                tokio::time::sleep(pause).await;
            }
            Ok(())
        })
        .await;
        assert_eq!(results.answered(), 400);
        // Those due during the first half of the pause waited for more than the other half. A machine that is busy
        // makes more late, never fewer.
        let late = results.latency.count_between(100_000_000, u64::MAX);
        assert!(late >= 90, "{late}");
    }

    #[tokio::test]
    async fn as_many_as_there_are_workers() {
        static NOW: AtomicU64 = AtomicU64::new(0);
        let load = Load { pace: Pace::Closed { workers: 3 }, duration: Duration::from_millis(50) };
        let results = run(load, |number| async move {
            let at_once = NOW.fetch_add(1, Ordering::Relaxed) + 1;
            tokio::task::yield_now().await;
            NOW.fetch_sub(1, Ordering::Relaxed);
            if at_once > 3 || number == 1 { Err(format!("{at_once} at once")) } else { Ok(()) }
        })
        .await;
        assert_eq!(results.failed(), 1, "{results}");
        assert!(results.answered() > 3);
    }
}
