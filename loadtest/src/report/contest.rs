//! Everything that is asked side by side: in each round servers of its own are started, and asked in turn.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use gavel_proto::v1::{AnswerDetail, StreamCheckFlowRequest};
use prost::Message as _;

use super::figures::{Contestant, Side, Sizes};
use super::servers::{Programs, Served};
use super::world::World;
use crate::echo::{Blob, EchoStream};
use crate::{FlowStream, Load, Pace, Questions, Results, process, run, run_streams};

/// How many calls are in flight.
const WORKERS: usize = 16;
/// How many messages of a stream, and how many calls of many questions.
const IN_STREAMS: usize = 256;
const BATCHES: usize = 4;

/// What one of them is asked.
#[derive(Clone)]
enum Asked {
    /// An echo, by calls: bytes of question and answer.
    Echo(usize, usize),
    /// An echo, by streams.
    EchoStream(usize, usize),
    /// A server, by calls.
    Calls(Arc<Questions>, usize),
    /// A server, by streams.
    Streams(Arc<[StreamCheckFlowRequest]>),
}

/// One that is asked.
#[derive(Clone)]
struct Entry {
    name: String,
    asked: Asked,
    is_unix: bool,
    /// Questions of each call or message.
    each: u64,
}

/// How long, and how often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    pub(super) rounds: usize,
    pub(super) window: Duration,
    pub(super) warm_up: Duration,
}

/// Measures all of them; `between` is called in each round.
///
/// # Errors
/// When a server does not start, or a question is not answered.
pub(super) async fn measure(
    programs: &Programs,
    world: &World,
    sizes: Sizes,
    rounds: Rounds,
    mut between: impl FnMut(),
) -> anyhow::Result<Vec<Contestant>> {
    let modes = programs.modes()?;
    let mut contestants: Vec<Contestant> = Vec::new();
    for round in 0..rounds.rounds {
        between();
        for mode in &modes {
            let gavel = programs.manifests(*mode, &world.manifests).await?;
            let echo = programs.echo(*mode).await?;
            let mut entries = entries(world, sizes, *mode)?;
            let count = entries.len();
            // None is always the first, and none always behind the same one's heat. (Steps of 4 come to all 15.)
            entries.rotate_left(round * 4 % count);
            if round % 2 == 1 {
                entries.reverse();
            }
            for entry in &entries {
                let served = if entry.is_echo() { &echo } else { &gavel };
                let side = entry.measure(served, rounds).await?;
                match contestants.iter_mut().find(|contestant| contestant.name == entry.name) {
                    Some(contestant) => contestant.rounds.push(side),
                    None => contestants.push(Contestant { name: entry.name.clone(), rounds: vec![side] }),
                }
            }
            gavel.stop().await?;
            echo.stop().await?;
        }
    }
    contestants.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(contestants)
}

/// The name of one in a mode: that of the first mode is left out.
pub(super) fn name(mode: Option<&str>, what: &str) -> String {
    match mode {
        None | Some("multi-thread") => what.to_owned(),
        Some(mode) => format!("{mode}: {what}"),
    }
}

fn entries(world: &World, sizes: Sizes, mode: Option<&str>) -> anyhow::Result<Vec<Entry>> {
    let flows: Questions = world.flows.iter().cloned().collect();
    let message = |size| Asked::Streams(flows.messages(size, AnswerDetail::Full).into());
    let batch = |size, detail| Asked::Calls(Arc::new(flows.batched(size, detail)), BATCHES);
    let admissions: Arc<Questions> = Arc::new(world.admissions.iter().cloned().collect());
    let typed: Arc<Questions> = Arc::new(world.typed.iter().cloned().collect());
    let calls = |questions: &Arc<Questions>| Asked::Calls(questions.clone(), WORKERS);
    let one: Arc<Questions> = Arc::new(flows.clone());
    let brief = flows.messages(16, AnswerDetail::Verdict).into();
    let (flow, admit, message_pod) = (sizes.flow, sizes.admit, sizes.typed);
    // A message of one question has it in a field of its own; so has the answer.
    let in_stream = (flow.0 + 2, flow.1 + 6);
    let all = [
        ("echo of CheckFlow", Asked::Echo(flow.0, flow.1), false, 1),
        ("CheckFlow", calls(&one), false, 1),
        ("echo of CheckFlow, unix socket", Asked::Echo(flow.0, flow.1), true, 1),
        ("CheckFlow, unix socket", calls(&one), true, 1),
        ("echo of Admit", Asked::Echo(admit.0, admit.1), false, 1),
        ("Admit", calls(&admissions), false, 1),
        ("echo of Admit, typed", Asked::Echo(message_pod.0, message_pod.1), false, 1),
        ("Admit, typed", calls(&typed), false, 1),
        ("echo of StreamCheckFlow, 1 a message", Asked::EchoStream(in_stream.0, in_stream.1), false, 1),
        ("StreamCheckFlow, 1 a message", message(1), false, 1),
        ("StreamCheckFlow, 16 a message", message(16), false, 16),
        ("StreamCheckFlow, 16 a message, verdicts", Asked::Streams(brief), false, 16),
        ("BatchCheckFlow of 100", batch(100, AnswerDetail::Full), false, 100),
        ("BatchCheckFlow of 100, verdicts", batch(100, AnswerDetail::Verdict), false, 100),
        ("BatchCheckFlow of 1000, verdicts", batch(1000, AnswerDetail::Verdict), false, 1000),
    ];
    let entries =
        all.map(|(what, asked, is_unix, each)| Entry { name: name(mode, what), asked, is_unix, each });
    Ok(entries.into())
}

impl Entry {
    fn is_echo(&self) -> bool {
        matches!(self.asked, Asked::Echo(..) | Asked::EchoStream(..))
    }

    async fn measure(&self, served: &Served, rounds: Rounds) -> anyhow::Result<Side> {
        let me = std::process::id();
        self.ask(served, rounds.warm_up).await?;
        let before = (served.cpu()?, process::cpu(me)?);
        let results = self.ask(served, rounds.window).await?;
        let (server, client) = (served.cpu()? - before.0, process::cpu(me)?.saturating_sub(before.1));
        Ok(Side::new(&results, self.each, server, client))
    }

    async fn ask(&self, served: &Served, duration: Duration) -> anyhow::Result<Results> {
        let load = |workers| Load { pace: Pace::Closed { workers }, duration };
        let results = match &self.asked {
            Asked::Echo(bytes, answer) => {
                let (client, blob) = (served.echo(self.is_unix).await?, Blob::of_size(*bytes, *answer));
                run(load(WORKERS), move |number| {
                    let (client, blob) = (client.clone(), blob.clone());
                    async move {
                        client.unary(number, blob).await.map(drop).map_err(|status| status.to_string())
                    }
                })
                .await
            }
            Asked::EchoStream(bytes, answer) => {
                let client = served.echo(self.is_unix).await?;
                // No smaller than a message that tells how large the answer is to be.
                let mut blob = Blob::of_size(*bytes, *answer);
                blob.answer_bytes = u32::try_from(Blob::of_size(*answer, 0).encoded_len())?;
                run_streams(load(IN_STREAMS), 4, EchoStream { client, blob }).await
            }
            Asked::Calls(questions, workers) => {
                served.target(self.is_unix).await?.ask_all(questions, load(*workers)).await
            }
            Asked::Streams(messages) => {
                let target = served.target(self.is_unix).await?;
                let dialogue = FlowStream { target, messages: messages.clone() };
                run_streams(load(IN_STREAMS), 4, dialogue).await
            }
        };
        ensure!(results.failed() == 0, "{}: questions were not answered: {results}", self.name);
        Ok(results)
    }
}
