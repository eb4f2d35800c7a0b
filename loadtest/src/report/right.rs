//! Answers are right: by every way a server is asked, they are those of the engine, asked offline.

use anyhow::{Context as _, ensure};
use futures_util::TryStreamExt as _;
use gavel_engine::Snapshot;
use gavel_proto::v1;
use gavel_server::decide;
use prost::Message as _;
use tonic::Status;

use super::figures::Sizes;
use super::servers::Served;
use super::world::World;
use crate::Target;

/// How many questions of each kind are compared.
const COMPARED: usize = 200;
/// Questions of a call, and of a message.
const MANY: usize = 50;

/// Compares; how many answers were, and how large messages are in the mean.
///
/// # Errors
/// When an answer is another one: to which question.
pub(super) async fn check(world: &World, served: &Served) -> anyhow::Result<(usize, Sizes)> {
    let snapshot = world.snapshot()?;
    let mut compared = 0;
    let mut sizes = Sizes::default();
    for is_unix in [false, true] {
        let target = served.target(is_unix).await?;
        sizes.flow = mean(&flows(world, &snapshot, &target, &mut compared).await?);
        sizes.admit = mean(&admissions(&world.admissions, &snapshot, &target, &mut compared).await?);
        sizes.typed = mean(&admissions(&world.typed, &snapshot, &target, &mut compared).await?);
    }
    Ok((compared, sizes))
}

type Bytes = Vec<(usize, usize)>;

fn mean(sizes: &[(usize, usize)]) -> (usize, usize) {
    let count = sizes.len().max(1);
    let (questions, answers) =
        sizes.iter().fold((0, 0), |(left, right), size| (left + size.0, right + size.1));
    (questions / count, answers / count)
}

async fn flows(
    world: &World,
    snapshot: &Snapshot,
    target: &Target,
    compared: &mut usize,
) -> anyhow::Result<Bytes> {
    let questions: Vec<_> = world.flows.iter().take(COMPARED).cloned().collect();
    let expected: Vec<_> = questions.iter().map(|question| decide::check_flow(snapshot, question)).collect();
    let mut sizes = Bytes::new();
    for (question, expected) in questions.iter().zip(&expected) {
        let answer = target.client(0).check_flow(target.request(question.clone())).await;
        let answer = answer.map(tonic::Response::into_inner);
        if let Ok(answer) = &answer {
            sizes.push((question.encoded_len(), answer.encoded_len()));
        }
        same(question, answer.map(plain_flow), expected.clone().map(plain_flow))?;
        *compared += 1;
    }
    let mut many = Vec::new();
    for group in questions.chunks(MANY) {
        let batch = v1::BatchCheckFlowRequest { questions: group.to_vec(), ..Default::default() };
        many.extend(target.client(0).batch_check_flow(target.request(batch)).await?.into_inner().results);
    }
    let messages: Vec<_> = questions
        .chunks(MANY)
        .map(|group| v1::StreamCheckFlowRequest { questions: group.to_vec(), ..Default::default() })
        .collect();
    let request = target.endless(tokio_stream::iter(messages));
    let answers = target.client(0).stream_check_flow(request).await?.into_inner();
    let answers: Vec<v1::StreamCheckFlowResponse> = answers.try_collect().await?;
    let streamed: Vec<_> = answers.into_iter().flat_map(|answer| answer.results).collect();
    for results in [many, streamed] {
        ensure!(results.len() == questions.len(), "{} answers to {}", results.len(), questions.len());
        for ((question, result), expected) in questions.iter().zip(results).zip(&expected) {
            let answer = match result.result.context("an answer without anything in it")? {
                v1::check_flow_result::Result::Answer(answer) => Ok(plain_flow(answer)),
                v1::check_flow_result::Result::Error(error) => {
                    Err(Status::new(error.code.into(), error.message))
                }
            };
            same(question, answer, expected.clone().map(plain_flow))?;
            *compared += 1;
        }
    }
    Ok(sizes)
}

async fn admissions(
    questions: &[v1::AdmitRequest],
    snapshot: &Snapshot,
    target: &Target,
    compared: &mut usize,
) -> anyhow::Result<Bytes> {
    let mut sizes = Bytes::new();
    for question in questions.iter().take(COMPARED) {
        let expected = decide::admit(snapshot, question).map(plain_admission);
        let answer = target.client(0).admit(target.request(question.clone())).await;
        let answer = answer.map(tonic::Response::into_inner);
        if let Ok(answer) = &answer {
            sizes.push((question.encoded_len(), answer.encoded_len()));
        }
        same(question, answer.map(plain_admission), expected)?;
        *compared += 1;
    }
    for group in questions.iter().take(COMPARED).collect::<Vec<_>>().chunks(MANY) {
        let all = group.iter().map(|question| (*question).clone()).collect();
        let batch = v1::BatchAdmitRequest { questions: all, ..Default::default() };
        let results = target.client(0).batch_admit(target.request(batch)).await?.into_inner().results;
        ensure!(results.len() == group.len(), "{} answers to {}", results.len(), group.len());
        for (question, result) in group.iter().zip(results) {
            let answer = match result.result.context("an answer without anything in it")? {
                v1::admit_result::Result::Answer(answer) => Ok(plain_admission(answer)),
                v1::admit_result::Result::Error(error) => Err(Status::new(error.code.into(), error.message)),
            };
            same(*question, answer, decide::admit(snapshot, question).map(plain_admission))?;
            *compared += 1;
        }
    }
    Ok(sizes)
}

/// An answer without what is of the moment it was asked in.
fn plain_flow(answer: v1::CheckFlowResponse) -> v1::CheckFlowResponse {
    v1::CheckFlowResponse { revision: 0, staleness: None, decision_id: String::new(), ..answer }
}

fn plain_admission(answer: v1::AdmitResponse) -> v1::AdmitResponse {
    v1::AdmitResponse { revision: 0, staleness: None, decision_id: String::new(), ..answer }
}

fn same<A: PartialEq + std::fmt::Debug>(
    question: &impl std::fmt::Debug,
    answer: Result<A, Status>,
    expected: Result<A, Status>,
) -> anyhow::Result<()> {
    let comparable = |answer: Result<A, Status>| answer.map_err(|status| status.code());
    let (answer, expected) = (comparable(answer), comparable(expected));
    ensure!(answer == expected, "{question:?} is answered by {answer:?}, and by the engine {expected:?}");
    Ok(())
}
