//! Many questions at once, and questions that go on.

use std::time::Duration;

use gavel_proto::v1 as pb;
use gavel_proto::v1::policy_decision_client::PolicyDecisionClient;
use gavel_server::config::{DecisionLogMode, DecisionLogTarget};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use tonic_types::StatusExt as _;

use crate::support::{ADMISSION, FLOWS, POD, Server, admission, flow};

/// What was answered, whole.
fn answered(result: &pb::CheckFlowResult) -> &pb::CheckFlowResponse {
    match result.result.as_ref().unwrap() {
        pb::check_flow_result::Result::Answer(answer) => answer,
        pb::check_flow_result::Result::Error(error) => panic!("{error:?}"),
    }
}

fn failed(result: &pb::CheckFlowResult) -> &pb::QuestionError {
    match result.result.as_ref().unwrap() {
        pb::check_flow_result::Result::Error(error) => error,
        pb::check_flow_result::Result::Answer(answer) => panic!("{answer:?}"),
    }
}

fn batch(questions: Vec<pb::CheckFlowRequest>) -> pb::BatchCheckFlowRequest {
    pb::BatchCheckFlowRequest { questions, ..Default::default() }
}

/// A stream, and what its questions are sent by.
async fn stream(
    client: &mut PolicyDecisionClient<Channel>,
) -> (mpsc::UnboundedSender<pb::StreamCheckFlowRequest>, Streaming<pb::StreamCheckFlowResponse>) {
    let (send, questions) = mpsc::unbounded_channel();
    let answers = client.stream_check_flow(UnboundedReceiverStream::new(questions)).await.unwrap();
    (send, answers.into_inner())
}

fn message(questions: Vec<pb::CheckFlowRequest>) -> pb::StreamCheckFlowRequest {
    pb::StreamCheckFlowRequest { questions, ..Default::default() }
}

#[tokio::test]
async fn each_of_a_batch_is_answered_as_if_it_were_asked_alone() {
    let server = Server::start(&[("flows.yaml", FLOWS)]).await;
    let mut client = server.client().await;
    let explained = pb::CheckFlowRequest { explain: true, ..flow("stranger", "web", 80) };
    let questions = vec![
        flow("friend", "web", 80),
        flow("nobody", "web", 80),
        explained,
        pb::CheckFlowRequest { port: 70_000, ..flow("friend", "web", 80) },
        flow("web", "friend", 1),
    ];
    let answers = client.batch_check_flow(batch(questions.clone())).await.unwrap().into_inner();
    assert_eq!(answers.results.len(), questions.len());
    for (question, result) in questions.into_iter().zip(&answers.results) {
        match client.check_flow(question).await {
            Ok(alone) => {
                let alone = alone.into_inner();
                assert_eq!(alone.revision, answers.revision);
                assert_eq!(answered(result), &pb::CheckFlowResponse { revision: 0, ..alone });
            }
            Err(status) => {
                let error = failed(result);
                assert_eq!((error.code, &*error.message), (status.code().into(), status.message()));
                let field = &status.get_details_bad_request().unwrap().field_violations[0].field;
                assert_eq!(&error.field, field);
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn admissions_in_a_batch() {
    let server = Server::start(&[("psp.yaml", ADMISSION)]).await;
    let mut client = server.client().await;
    let questions =
        vec![admission(POD), admission("{"), pb::AdmitRequest { uid: "u2".into(), ..admission(POD) }];
    let request = pb::BatchAdmitRequest { questions, consistency: None };
    let answers = client.batch_admit(request).await.unwrap().into_inner();
    let alone = client.admit(admission(POD)).await.unwrap().into_inner();
    let results: Vec<_> = answers.results.into_iter().map(|result| result.result.unwrap()).collect();
    let [
        pb::admit_result::Result::Answer(first),
        pb::admit_result::Result::Error(error),
        pb::admit_result::Result::Answer(last),
    ] = results.as_slice()
    else {
        panic!("{results:?}")
    };
    assert_eq!(*first, pb::AdmitResponse { revision: 0, ..alone });
    assert_eq!((error.code, &*error.field), (Code::InvalidArgument.into(), "object"));
    assert_eq!(last.uid, "u2");
    assert!(last.allowed && answers.revision > 0);
    server.stop().await;
}

#[tokio::test]
async fn verdicts_alone_have_no_names() {
    // Also where the log needs them.
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("decisions.jsonl");
    let server = Server::start_with(&[("flows.yaml", FLOWS)], |config| {
        config.telemetry.decision_log = DecisionLogMode::All;
        config.telemetry.decision_log_to = DecisionLogTarget::File(log.clone());
    })
    .await;
    let mut client = server.client().await;
    let questions = vec![
        flow("stranger", "web", 80),
        pb::CheckFlowRequest { explain: true, ..flow("stranger", "web", 80) },
    ];
    let request =
        pb::BatchCheckFlowRequest { questions, detail: pb::AnswerDetail::Verdict.into(), consistency: None };
    let answers = client.batch_check_flow(request).await.unwrap().into_inner();
    let short = answered(&answers.results[0]);
    assert_eq!(short.verdict(), pb::Verdict::Deny);
    assert!(short.reason.is_empty() && !short.decision_id.is_empty());
    let ingress = short.ingress.as_ref().unwrap();
    assert!(ingress.isolated && ingress.isolating.is_empty());
    assert_eq!((ingress.verdict(), ingress.reason()), (pb::Verdict::Deny, pb::LegReason::NoRule));
    let explained = answered(&answers.results[1]);
    assert!(!explained.reason.is_empty() && !explained.ingress.as_ref().unwrap().rules.is_empty());
    server.stop().await;
    let logged = std::fs::read_to_string(log).unwrap();
    let lines: Vec<&str> = logged.lines().collect();
    assert_eq!(lines.len(), 2, "{logged}");
    assert!(lines[0].contains(r#""name":"web""#) && lines[0].contains(&short.decision_id), "{logged}");
}

#[tokio::test]
async fn what_is_wrong_with_a_batch_as_a_whole() {
    let server = Server::start_with(&[("flows.yaml", FLOWS)], |config| config.limits.max_batch = 3).await;
    let mut client = server.client().await;
    let question = flow("friend", "web", 80);
    let field =
        |status: &tonic::Status| status.get_details_bad_request().unwrap().field_violations[0].field.clone();
    let refused = client.batch_check_flow(batch(vec![question.clone(); 4])).await.unwrap_err();
    assert_eq!((refused.code(), &*field(&refused)), (Code::InvalidArgument, "questions"));
    assert!(refused.message().contains("at most 3"), "{refused}");
    let detail = pb::BatchCheckFlowRequest { detail: 9, ..batch(vec![question.clone()]) };
    let refused = client.batch_check_flow(detail).await.unwrap_err();
    assert_eq!((refused.code(), &*field(&refused)), (Code::InvalidArgument, "detail"));
    let own = pb::CheckFlowRequest {
        consistency: Some(pb::Consistency { revision: 1, ..Default::default() }),
        ..question.clone()
    };
    let answers = client.batch_check_flow(batch(vec![own, question])).await.unwrap().into_inner();
    assert_eq!(failed(&answers.results[0]).field, "consistency");
    answered(&answers.results[1]);
    assert!(client.batch_check_flow(batch(Vec::new())).await.unwrap().into_inner().results.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn every_question_counts_against_the_rate() {
    let server = Server::start_with(&[("flows.yaml", FLOWS)], |config| {
        config.limits.caller_rate = 1;
        config.limits.caller_burst = std::num::NonZeroU32::new(10);
    })
    .await;
    let mut client = server.client().await;
    let many = |count| batch(vec![flow("friend", "web", 80); count]);
    // One is counted when the request comes, the others when it was read.
    client.batch_check_flow(many(6)).await.unwrap();
    let refused = client.batch_check_flow(many(6)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.get_details_retry_info().unwrap().retry_delay.is_some());
    // Told apart from what would be taken later.
    let refused = client.batch_check_flow(many(50)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.get_details_retry_info().is_none(), "{refused}");
    // Of a stream, those fail that are too many, and it goes on.
    let (send, mut answers) = stream(&mut client).await;
    send.send(message(vec![flow("friend", "web", 80); 50])).unwrap();
    send.send(message(vec![])).unwrap();
    let first = answers.next().await.unwrap().unwrap();
    assert_eq!(first.results.len(), 50);
    assert_eq!(failed(&first.results[49]).code, i32::from(Code::ResourceExhausted));
    server.stop().await;
}

#[tokio::test]
async fn a_stream_is_answered_in_order_and_by_the_snapshot_of_the_moment() {
    let server = Server::start(&[("flows.yaml", FLOWS)]).await;
    let mut client = server.client().await;
    let (send, mut answers) = stream(&mut client).await;
    // Pipelined: nothing is read before everything was sent.
    let (mut sent, mut expected) = (0, Vec::new());
    for number in 0_u32..300 {
        let count = number as usize % 5;
        let port = if number % 2 == 0 { 80 } else { 81 };
        send.send(message(vec![flow("friend", "web", port); count])).unwrap();
        expected.extend(std::iter::repeat_n(port == 80, count));
        sent += count;
    }
    let mut seen = Vec::new();
    let mut messages = 0;
    while seen.len() < sent {
        let answer = answers.next().await.unwrap().unwrap();
        assert_eq!(answer.first, seen.len() as u64);
        assert!(answer.revision > 0);
        seen.extend(answer.results.iter().map(|result| answered(result).verdict() == pb::Verdict::Allow));
        messages += 1;
    }
    assert_eq!(seen, expected);
    assert!(messages < 300, "answers are sent together: {messages}");
    // A change takes hold of a stream that is open.
    let before = server.snapshot(|_| true).await.revision;
    server.write("flows.yaml", &FLOWS.replace("port: 80", "port: 81"));
    let after = server.snapshot(|snapshot| snapshot.revision > before).await.revision;
    send.send(message(vec![flow("friend", "web", 81)])).unwrap();
    let answer = answers.next().await.unwrap().unwrap();
    assert_eq!((answer.revision, answer.first), (after, sent as u64));
    assert_eq!(answered(&answer.results[0]).verdict(), pb::Verdict::Allow);
    // One that wants a snapshot that does not exist yet waits for it, and those behind it with it.
    let next = pb::Consistency { revision: after + 1, ..Default::default() };
    send.send(pb::StreamCheckFlowRequest {
        consistency: Some(next),
        ..message(vec![flow("friend", "web", 80)])
    })
    .unwrap();
    send.send(message(vec![flow("friend", "web", 81)])).unwrap();
    server.write("flows.yaml", FLOWS);
    let answer = answers.next().await.unwrap().unwrap();
    assert!(answer.revision > after);
    assert_eq!(answered(&answer.results[0]).verdict(), pb::Verdict::Allow);
    drop(send);
    while let Some(answer) = answers.next().await {
        assert_eq!(answered(answer.unwrap().results.last().unwrap()).verdict(), pb::Verdict::Deny);
    }
    server.stop().await;
}

#[tokio::test]
async fn messages_of_nothing_and_of_other_details_keep_the_order() {
    let server = Server::start(&[("flows.yaml", FLOWS)]).await;
    let mut client = server.client().await;
    let (send, mut answers) = stream(&mut client).await;
    let short = pb::AnswerDetail::Verdict.into();
    for number in 0..3000 {
        let questions = if number % 100 == 0 { vec![flow("stranger", "web", 80)] } else { Vec::new() };
        let detail = if number % 200 == 0 { short } else { 0 };
        send.send(pb::StreamCheckFlowRequest { detail, ..message(questions) }).unwrap();
    }
    drop(send);
    let mut seen = 0;
    while let Some(answer) = answers.next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.first, seen);
        for result in &answer.results {
            assert_eq!(answered(result).reason.is_empty(), seen % 2 == 0);
            seen += 1;
        }
    }
    assert_eq!(seen, 30);
    server.stop().await;
}

#[tokio::test]
async fn a_bad_message_ends_its_stream_with_the_field() {
    let server = Server::start_with(&[("flows.yaml", FLOWS)], |config| config.limits.max_batch = 2).await;
    let mut client = server.client().await;
    let (send, mut answers) = stream(&mut client).await;
    send.send(pb::StreamCheckFlowRequest { detail: 7, ..message(vec![flow("friend", "web", 80)]) }).unwrap();
    let status = answers.next().await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "detail");
    // What came before it is answered, however close it followed.
    let (send, mut answers) = stream(&mut client).await;
    send.send(message(vec![flow("friend", "web", 80)])).unwrap();
    send.send(pb::StreamCheckFlowRequest { detail: 7, ..message(vec![flow("friend", "web", 80)]) }).unwrap();
    answered(&answers.next().await.unwrap().unwrap().results[0]);
    assert_eq!(answers.next().await.unwrap().unwrap_err().code(), Code::InvalidArgument);
    // More than one message may hold fail each, and the stream goes on.
    let (send, mut answers) = stream(&mut client).await;
    send.send(message(vec![flow("friend", "web", 80); 3])).unwrap();
    let answer = answers.next().await.unwrap().unwrap();
    assert!(answer.results.iter().all(|result| failed(result).field == "questions"), "{answer:?}");
    send.send(message(vec![flow("friend", "web", 80)])).unwrap();
    answered(&answers.next().await.unwrap().unwrap().results[0]);
    server.stop().await;
}

#[tokio::test]
async fn streams_end_when_the_server_stops_and_when_their_connection_is_old() {
    let server = Server::start_with(&[("flows.yaml", FLOWS)], |config| {
        config.life.max_connection_age_seconds = 1;
        config.life.max_connection_age_grace_seconds = 60;
    })
    .await;
    let mut client = server.client().await;
    let (send, mut answers) = stream(&mut client).await;
    send.send(message(vec![flow("friend", "web", 80)])).unwrap();
    answered(&answers.next().await.unwrap().unwrap().results[0]);
    let ended = tokio::time::timeout(Duration::from_secs(20), answers.next()).await.unwrap();
    let status = ended.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("of age"), "{status}");
    // A new one works.
    let (send, mut answers) = stream(&mut client).await;
    send.send(message(vec![flow("friend", "web", 80)])).unwrap();
    answered(&answers.next().await.unwrap().unwrap().results[0]);
    server.stop().await;
    while let Some(answer) = answers.next().await {
        if let Err(status) = answer {
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            break;
        }
    }
}

#[tokio::test]
async fn a_stream_holds_no_more_than_what_was_not_answered() {
    // Less than all questions together.
    let server =
        Server::start_with(&[("flows.yaml", FLOWS)], |config| config.limits.max_held_bytes = 256 << 10).await;
    let mut client = server.client().await;
    let (send, questions) = mpsc::channel(4);
    let mut answers = client.stream_check_flow(ReceiverStream::new(questions)).await.unwrap().into_inner();
    let sending = tokio::spawn(async move {
        for _ in 0..200 {
            send.send(message(vec![flow("friend", "web", 80); 100])).await.unwrap();
        }
    });
    let mut seen = 0;
    while let Some(answer) = answers.next().await {
        seen += answer.unwrap().results.len();
    }
    sending.await.unwrap();
    assert_eq!(seen, 20_000);
    server.stop().await;
}
