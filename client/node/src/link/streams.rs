//! The three streams of a link: questions and answers, revisions, pods.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use gavel_client::{Client, v1};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

use super::{Answers, Event};
use crate::flow::{Answer, Flow, Protocol};

/// Questions in one message.
const TOGETHER: usize = 256;

/// How often a server that is asked nothing is asked something, to see that it still answers: one that hangs would tell
/// nobody of what has changed.
const PROBE: Duration = Duration::from_secs(1);

/// Kinds that flows depend on. Workloads stand for pods only in questions about them by name.
const OF_FLOWS: [&str; 3] = ["Namespace", "Pod", "NetworkPolicy"];

/// The streams of a link that is open.
#[derive(Debug)]
pub(super) struct Streams {
    ask: mpsc::UnboundedSender<v1::StreamCheckFlowRequest>,
    answers: Streaming<v1::StreamCheckFlowResponse>,
    revisions: Streaming<v1::SnapshotRevision>,
    pods: Streaming<v1::NodePods>,
    /// The first message of each of the two.
    first: Option<(v1::SnapshotRevision, v1::NodePods)>,
    /// Questions without an answer, in their order, and when they were asked; none: to see that the server answers.
    asked: VecDeque<(Option<Flow>, Instant)>,
}

impl Streams {
    /// Opens them, and waits until the server has told its revision and the node's pods.
    pub(super) async fn open(client: &Client, node: &str) -> Result<Self, String> {
        let (ask, questions) = mpsc::unbounded_channel();
        let words = |error: gavel_client::Error| error.to_string();
        let (answers, revisions, pods) = tokio::try_join!(
            client.stream_check_flow(UnboundedReceiverStream::new(questions)),
            client.watch_snapshot(),
            client.watch_node_pods(node),
        )
        .map_err(words)?;
        let (mut revisions, mut pods) = (revisions, pods);
        let revision = told(revisions.message().await)?;
        let first = Some((revision, told(pods.message().await)?));
        Ok(Self { ask, answers, revisions, pods, first, asked: VecDeque::new() })
    }

    /// Asks and listens until the link ends; tells why, unless nobody listens any more.
    pub(super) async fn run(
        &mut self,
        client: Client,
        questions: &mut mpsc::UnboundedReceiver<Flow>,
        events: &mpsc::UnboundedSender<Event>,
        timeout: Duration,
    ) -> Option<Event> {
        if let Some((revision, pods)) = self.first.take() {
            let revision = Event::Revision { flows_changed: true, revision: revision.revision };
            for event in [revision, Event::Pods(pods), Event::Up(Box::new(client))] {
                events.send(event).ok()?;
            }
        }
        let mut look = interval((timeout / 4).max(Duration::from_millis(1)));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(TOGETHER);
        let mut last_asked = Instant::now();
        loop {
            let event = tokio::select! {
                biased;
                revision = self.revisions.message() => match told(revision) {
                    Ok(revision) => changed(&revision),
                    Err(why) => return Some(Event::Down(why)),
                },
                pods = self.pods.message() => match told(pods) {
                    Ok(pods) => Event::Pods(pods),
                    Err(why) => return Some(Event::Down(why)),
                },
                answers = self.answers.message() => {
                    let revision = |answers: &v1::StreamCheckFlowResponse| answers.revision;
                    match told(answers).and_then(|answers| Ok((revision(&answers), self.take(answers)?))) {
                        Ok((revision, answers)) => Event::Answers { answers, revision },
                        Err(why) => return Some(Event::Down(why)),
                    }
                }
                received = questions.recv_many(&mut batch, TOGETHER) => {
                    if received == 0 {
                        return None;
                    }
                    last_asked = Instant::now();
                    let questions = batch.iter().map(|flow| flow.to_question()).collect();
                    self.asked.extend(batch.drain(..).map(|flow| (Some(flow), last_asked)));
                    if let Err(why) = self.send(questions) {
                        return Some(Event::Down(why));
                    }
                    continue;
                }
                _ = look.tick() => {
                    match self.asked.front() {
                        Some((_, at)) if at.elapsed() > timeout => {
                            return Some(Event::Down(format!("no answer within {timeout:?}")));
                        }
                        Some(_) => {}
                        None if last_asked.elapsed() > PROBE => {
                            last_asked = Instant::now();
                            self.asked.push_back((None, last_asked));
                            if let Err(why) = self.send(vec![probe()]) {
                                return Some(Event::Down(why));
                            }
                        }
                        None => {}
                    }
                    continue;
                }
            };
            events.send(event).ok()?;
        }
    }

    fn send(&mut self, questions: Vec<v1::CheckFlowRequest>) -> Result<(), String> {
        let detail = v1::AnswerDetail::Cacheable.into();
        let message = v1::StreamCheckFlowRequest { questions, detail, consistency: None };
        self.ask.send(message).map_err(|_| "the server takes no more questions".to_owned())
    }

    /// The answers, each with its question.
    fn take(&mut self, answers: v1::StreamCheckFlowResponse) -> Result<Answers, String> {
        let mut taken = Vec::with_capacity(answers.results.len());
        for result in answers.results {
            let Some((flow, _)) = self.asked.pop_front() else {
                return Err("the server answered what was not asked".to_owned());
            };
            let answer = match result.result {
                Some(v1::check_flow_result::Result::Answer(answer)) => Ok(Answer::from(&answer)),
                Some(v1::check_flow_result::Result::Error(error)) => Err(error),
                None => return Err("the server sent a result without an answer".to_owned()),
            };
            if let Some(flow) = flow {
                taken.push((flow, answer));
            }
        }
        Ok(taken)
    }
}

/// A message, or why there will be no more.
fn told<M>(message: Result<Option<M>, Status>) -> Result<M, String> {
    match message {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err("the server ended the stream".to_owned()),
        Err(status) => Err(format!("{}: {}", status.code(), status.message())),
    }
}

/// A question whose answer matters to nobody, between addresses of documentation (RFC 5737).
fn probe() -> v1::CheckFlowRequest {
    let [source, destination] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
    Flow { source, destination, protocol: Protocol::Tcp, port: 1 }.to_question()
}

fn changed(revision: &v1::SnapshotRevision) -> Event {
    let of_flows = revision.changed_kinds.iter().any(|kind| OF_FLOWS.contains(&kind.as_str()));
    Event::Revision { flows_changed: revision.missed || of_flows, revision: revision.revision }
}
