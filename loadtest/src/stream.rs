//! The driver of streams: messages that do not wait for the answers to those before them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tonic::{Status, Streaming};

use crate::load::pacer;
use crate::results::Results;
use crate::{Load, Pace};

/// Messages that are to be sent.
pub struct Messages<Q>(Pin<Box<dyn Stream<Item = Q> + Send>>);

impl<Q> Stream for Messages<Q> {
    type Item = Q;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Q>> {
        self.0.as_mut().poll_next(cx)
    }
}

/// A stream that is being opened: its answers.
pub type Opening<A> = Pin<Box<dyn Future<Output = Result<Streaming<A>, Status>> + Send>>;

/// What is asked by a stream, and how its answers are read.
pub trait Dialogue: Clone + Send + Sync + 'static {
    /// A message of questions.
    type Question: Send + 'static;
    /// A message of answers: to one message of questions, or to several.
    type Answer: Send + 'static;

    /// The message of this number.
    fn question(&self, number: u64) -> Self::Question;

    /// Opens the stream of this number.
    fn open(&self, number: u64, questions: Messages<Self::Question>) -> Opening<Self::Answer>;

    /// How many messages of questions are answered by this.
    ///
    /// # Errors
    /// What is wrong with it.
    fn answered(&self, answer: &Self::Answer) -> Result<usize, String>;
}

/// Asks by so many streams until the time is over. Results count messages of questions. In flight, or at once, are as
/// many messages as the pace says, shared by all streams.
pub async fn run_streams<D: Dialogue>(load: Load, streams: usize, dialogue: D) -> Results {
    let started = Instant::now();
    let streams = streams.max(1);
    let mut tasks = JoinSet::new();
    for number in 0..streams {
        tasks.spawn(one(load, started, number as u64, streams, dialogue.clone()));
    }
    let mut results = Results::default();
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(part) => results.add(&part),
            Err(error) => results.record(started.elapsed(), Err(format!("a stream panicked: {error}"))),
        }
    }
    results.elapsed = started.elapsed();
    results
}

/// What both directions of a stream know.
#[derive(Default)]
struct Asked {
    /// When those that wait for their answers were due.
    due: VecDeque<Instant>,
    late: Results,
}

/// When the next message is sent.
struct Turns {
    room: Arc<Semaphore>,
    /// Of an open loop.
    due: Option<mpsc::UnboundedReceiver<Instant>>,
    ends: Instant,
}

impl Turns {
    /// Waits for the next turn; none when the time is over.
    async fn next(&mut self) -> Option<Instant> {
        let due = match &mut self.due {
            Some(due) => Some(due.recv().await?),
            None => None,
        };
        // The semaphore is never closed. Whoever reads the answer gives the place back.
        self.room.acquire().await.ok()?.forget();
        match due {
            Some(due) => Some(due),
            None => Some(Instant::now()).filter(|now| *now < self.ends),
        }
    }
}

async fn one<D: Dialogue>(load: Load, started: Instant, number: u64, streams: usize, dialogue: D) -> Results {
    let (places, due) = match load.pace {
        Pace::Closed { workers } => (workers, None),
        #[expect(clippy::cast_precision_loss, reason = "a few streams")]
        Pace::Open { per_second, most_in_flight } => {
            (most_in_flight, Some(pacer(started, per_second / streams as f64, load.duration)))
        }
    };
    let is_open = due.is_some();
    let room = Arc::new(Semaphore::new((places / streams).max(1)));
    let asked = Arc::new(Mutex::new(Asked::default()));
    let turns = Turns { room: room.clone(), due, ends: started + load.duration };
    let questions = {
        let (asked, dialogue) = (asked.clone(), dialogue.clone());
        stream::unfold((turns, number), move |(mut turns, number)| {
            let (asked, dialogue) = (asked.clone(), dialogue.clone());
            async move {
                let due = turns.next().await?;
                let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                if is_open {
                    asked.late.record_late(due.elapsed());
                }
                asked.due.push_back(due);
                drop(asked);
                Some((dialogue.question(number), (turns, number + streams as u64)))
            }
        })
    };
    let mut results = Results::default();
    let mut answers = match dialogue.open(number, Messages(Box::pin(questions))).await {
        Ok(answers) => answers,
        Err(status) => {
            results.record(started.elapsed(), Err(format!("{:?}: {}", status.code(), status.message())));
            return results;
        }
    };
    while let Some(answer) = answers.next().await {
        let count = match answer {
            Ok(answer) => dialogue.answered(&answer),
            Err(status) => Err(format!("{:?}: {}", status.code(), status.message())),
        };
        let count = match count {
            Ok(count) => count,
            Err(why) => {
                results.record(started.elapsed(), Err(why));
                break;
            }
        };
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..count {
            match asked.due.pop_front() {
                Some(due) => results.record(due.elapsed(), Ok(())),
                None => results.record(started.elapsed(), Err("an answer to no question".to_owned())),
            }
        }
        drop(asked);
        room.add_permits(count);
    }
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    for due in &asked.due {
        results.record(due.elapsed(), Err("the stream ended without an answer".to_owned()));
    }
    results.add(&asked.late);
    results
}
