//! The link to a server: one at a time, over one connection.
//!
//! Questions, revisions and the node's pods go by the same connection, so that they are about the same snapshot: an answer
//! is never of a server that lags behind the one that the pods were told by. When the connection fails, or a question is
//! not answered in time, the link goes to the next server.

mod streams;

use std::time::{Duration, Instant};

use gavel_client::{Client, Security, v1};
use tokio::sync::mpsc;

use crate::flow::{Answer, Flow};
use streams::Streams;

/// How long it may take until a server has told its revision and the node's pods.
const BEGIN: Duration = Duration::from_secs(5);
/// How long to wait before the servers are tried anew, once none of them would do: at first, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// A link that held so long was good: the next one is tried at once.
const GOOD: Duration = Duration::from_secs(5);

/// Where the servers are, and what is asked of them.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Addresses; the first one that serves is asked.
    pub(crate) servers: Vec<String>,
    pub(crate) security: Security,
    /// Whose pods; empty: all.
    pub(crate) node: String,
    /// A question that is not answered within this is the end of the link.
    pub(crate) timeout: Duration,
}

/// What a link tells.
#[derive(Debug)]
pub(crate) enum Event {
    /// There is a server, whose first revision and pods have been told. Questions that were not answered are to be asked
    /// again.
    Up(Box<Client>),
    /// There is none any more, and why.
    Down(String),
    /// The snapshot has changed.
    Revision {
        /// Whether answers that were kept may be others now.
        flows_changed: bool,
        revision: u64,
    },
    /// The node's pods are these.
    Pods(v1::NodePods),
    /// Answers of one revision.
    Answers { answers: Answers, revision: u64 },
}

/// Flows, each with its answer or why it has none.
pub(crate) type Answers = Vec<(Flow, Result<Answer, v1::QuestionError>)>;

/// A link: to be asked, and listened to.
#[derive(Debug)]
pub(crate) struct Link {
    /// What is sent while the link is down is lost.
    pub(crate) questions: mpsc::UnboundedSender<Flow>,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
}

impl Link {
    /// A link, kept by a task of this runtime until it is dropped.
    pub(crate) fn open(settings: Settings) -> Self {
        let (questions, to_ask) = mpsc::unbounded_channel();
        let (events, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            // Ends when nobody listens any more.
            let stopped = events.clone();
            tokio::select! {
                () = keep(settings, to_ask, events) => {}
                () = stopped.closed() => {}
            }
        });
        Self { questions, events: heard }
    }
}

/// Goes from server to server for ever.
async fn keep(
    settings: Settings,
    mut questions: mpsc::UnboundedReceiver<Flow>,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut place = 0;
    let mut failures = 0;
    let mut wait = FIRST_WAIT;
    loop {
        let server = &settings.servers[place % settings.servers.len()];
        let began = Instant::now();
        let why = match begin(&settings, server).await {
            Ok((client, mut streams)) => {
                // What was asked in the meantime is asked again by whoever waits for it.
                while questions.try_recv().is_ok() {}
                let why = streams.run(client, &mut questions, &events, settings.timeout).await;
                if let Some(Event::Down(why)) = &why {
                    tracing::warn!(server, why, "the link to a server has ended");
                }
                why
            }
            Err(error) => {
                tracing::debug!(server, error, "no link to a server");
                Some(Event::Down(format!("{server}: {error}")))
            }
        };
        let Some(down) = why else { return };
        if events.send(down).is_err() {
            return;
        }
        place += 1;
        if began.elapsed() > GOOD {
            (failures, wait) = (0, FIRST_WAIT);
        }
        failures += 1;
        if failures >= settings.servers.len() {
            failures = 0;
            tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64())).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

/// Connects to a server, and waits for its first words.
async fn begin(settings: &Settings, server: &str) -> Result<(Client, Streams), String> {
    let begin = async {
        let client =
            Client::connect_with(server, &settings.security).await.map_err(|error| error.to_string())?;
        let streams = Streams::open(&client, &settings.node).await?;
        Ok((client, streams))
    };
    match tokio::time::timeout(BEGIN, begin).await {
        Ok(begun) => begun,
        Err(_) => Err(format!("no snapshot within {BEGIN:?}")),
    }
}

#[cfg(test)]
mod tests;
