//! Limits: what one caller may have, and what is ended because it does not end.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use gavel_proto::v1 as pb;
use gavel_proto::v1::policy_decision_client::PolicyDecisionClient;
use gavel_server::Config;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::support::{FLOWS, Server, flow};

const CHECK_FLOW: &str = "/gavel.v1.PolicyDecision/CheckFlow";

async fn started(change: impl FnOnce(&mut Config)) -> Server {
    Server::start_with(&[("flows.yaml", FLOWS)], change).await
}

fn address(server: &Server) -> SocketAddr {
    server.running.listening[0].parse().unwrap()
}

/// HTTP/2 by hand: a client that may misbehave.
struct Raw {
    send: SendRequest<Bytes>,
}

impl Raw {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self { send }
    }

    /// The headers of a request; its body is still to come.
    async fn begin(&mut self, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
        let request = http::Request::post(format!("http://gavel{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        self.send = self.send.clone().ready().await.unwrap();
        self.send.send_request(request, false).unwrap()
    }
}

/// A message as gRPC frames it.
fn framed(message: &impl prost::Message) -> Bytes {
    let encoded = message.encode_to_vec();
    let mut framed = vec![0];
    framed.extend(u32::try_from(encoded.len()).unwrap().to_be_bytes());
    framed.extend(encoded);
    framed.into()
}

async fn status(response: ResponseFuture) -> Status {
    let response = response.await.unwrap();
    if let Some(status) = Status::from_header_map(response.headers()) {
        return status;
    }
    let mut body: RecvStream = response.into_body();
    while let Some(data) = body.data().await {
        let read = data.unwrap().len();
        body.flow_control().release_capacity(read).unwrap();
    }
    Status::from_header_map(&body.trailers().await.unwrap().unwrap()).unwrap()
}

#[tokio::test]
async fn a_caller_with_too_many_in_flight_is_told_when_to_come_back() {
    let server = started(|config| config.limits.caller_in_flight = 2).await;
    let mut raw = Raw::connect(address(&server)).await;
    let held = [raw.begin(CHECK_FLOW).await, raw.begin(CHECK_FLOW).await];
    // The two are known to have arrived once a third is refused.
    let refused = loop {
        let (response, mut body) = raw.begin(CHECK_FLOW).await;
        body.send_data(framed(&flow("friend", "web", 80)), true).unwrap();
        let status = status(response).await;
        if status.code() != Code::Ok {
            break status;
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let retry = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(retry > Duration::ZERO && retry < Duration::from_secs(5), "{retry:?}");
    // Both end well, and make room.
    for (response, mut body) in held {
        body.send_data(framed(&flow("friend", "web", 80)), true).unwrap();
        assert_eq!(status(response).await.code(), Code::Ok);
    }
    server.client().await.check_flow(flow("friend", "web", 80)).await.unwrap();
    let metrics = server.metrics().await;
    assert!(metrics.contains(r#"gavel_requests_rejected_total{reason="caller_in_flight"}"#), "{metrics}");
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_asks_too_often_is_told_when_to_come_back() {
    let server = started(|config| {
        config.limits.caller_rate = 1;
        config.limits.caller_burst = std::num::NonZeroU32::new(3);
    })
    .await;
    let mut client = server.client().await;
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(client.check_flow(flow("friend", "web", 80)).await.map(drop));
    }
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err()).collect::<Vec<_>>();
    assert!(answers[..3].iter().all(Result::is_ok), "{answers:?}");
    assert!(refused.len() >= 10, "{answers:?}");
    for status in refused {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        let retry = status.get_details_retry_info().unwrap().retry_delay.unwrap();
        assert!(retry <= Duration::from_secs(1), "{retry:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn deadlines_are_kept() {
    let server = started(|config| {
        config.limits.request_seconds = 1;
        config.max_wait_seconds = 1;
    })
    .await;
    let address = address(&server);
    // The server's own: the rest of the question does not come.
    let mut raw = Raw::connect(address).await;
    let (response, _body) = raw.begin(CHECK_FLOW).await;
    let late = status(response).await;
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
    assert!(late.message().contains("the server's limit"), "{late:?}");
    // The caller's.
    let mut request = Request::new(pb::CheckFlowRequest {
        consistency: Some(pb::Consistency { revision: 1_000_000, ..Default::default() }),
        ..flow("friend", "web", 80)
    });
    request.metadata_mut().insert("grpc-timeout", MetadataValue::from_static("50m"));
    let late = server.client().await.check_flow(request).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_not_read_ends_the_connection() {
    let server = started(|config| {
        config.limits.request_seconds = 1;
        config.max_wait_seconds = 1;
    })
    .await;
    let stream = TcpStream::connect(address(&server)).await.unwrap();
    // No window at all: the server may not send a single byte of an answer.
    let (mut send, connection) =
        h2::client::Builder::new().initial_window_size(0).handshake::<_, Bytes>(stream).await.unwrap();
    let ended = tokio::spawn(connection);
    send = send.ready().await.unwrap();
    let request = http::Request::post(format!("http://gavel{CHECK_FLOW}"))
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let (response, mut body) = send.send_request(request, false).unwrap();
    body.send_data(framed(&flow("friend", "web", 80)), true).unwrap();
    let answer = response.await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap().unwrap().ok();
    drop(answer);
    let metrics = server.metrics().await;
    assert!(metrics.contains(r#"gavel_connections_rejected_total{reason="stuck"} 1"#), "{metrics}");
    server.stop().await;
}

/// Reads until the other end closes.
async fn closed(stream: &mut TcpStream) {
    let mut buffer = [0; 1024];
    let closed = async { while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(Duration::from_secs(30), closed).await.unwrap();
}

#[tokio::test]
async fn connections_that_say_nothing_are_closed() {
    let server = started(|config| config.limits.handshake_seconds = 1).await;
    let mut silent = TcpStream::connect(address(&server)).await.unwrap();
    let mut slow = TcpStream::connect(address(&server)).await.unwrap();
    slow.write_all(b"PRI * HTTP").await.unwrap();
    closed(&mut silent).await;
    closed(&mut slow).await;
    let metrics = server.metrics().await;
    assert!(metrics.contains(r#"gavel_connections_rejected_total{reason="silent"} 2"#), "{metrics}");
    server.stop().await;
}

#[tokio::test]
async fn connections_of_one_address_are_limited() {
    let server = started(|config| config.limits.max_connections_per_address = 2).await;
    let first = PolicyDecisionClient::connect(format!("http://{}", address(&server))).await.unwrap();
    let _second = Raw::connect(address(&server)).await;
    let mut third = TcpStream::connect(address(&server)).await.unwrap();
    closed(&mut third).await;
    // Room again.
    drop(first);
    let mut answered = false;
    for _ in 0..300 {
        if let Ok(mut client) = PolicyDecisionClient::connect(format!("http://{}", address(&server))).await
            && client.check_flow(flow("friend", "web", 80)).await.is_ok()
        {
            answered = true;
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(answered);
    server.stop().await;
}

#[tokio::test]
async fn sizes_are_limited() {
    let server = started(|config| {
        config.limits.max_request_bytes = 100_000;
        config.limits.max_object_bytes = 10_000;
        config.limits.max_header_bytes = 4096;
    })
    .await;
    let mut client = server.client().await;
    let object = format!(r#"{{"kind":"Pod","metadata":{{"name":"a"}},"pad":"{}"}}"#, "x".repeat(20_000));
    let status = client.admit(crate::support::admission(&object)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains("object"), "{status:?}");
    let object = "x".repeat(200_000);
    let status = client.admit(crate::support::admission(&object)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    // Nested without end.
    let deep = format!("{}{}", "[".repeat(4_000), "]".repeat(4_000));
    let status = client.admit(crate::support::admission(&deep)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let mut request = Request::new(flow("friend", "web", 80));
    request.metadata_mut().insert("x-long", "y".repeat(8192).parse().unwrap());
    client.check_flow(request).await.unwrap_err();
    // And the connection is as good as before.
    client.check_flow(flow("friend", "web", 80)).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn bytes_that_are_held_are_limited() {
    let server = started(|config| config.limits.max_held_bytes = 300_000).await;
    let mut raw = Raw::connect(address(&server)).await;
    let mut held = Vec::new();
    let refused = loop {
        let (response, mut body) = raw.begin("/gavel.v1.PolicyDecision/Admit").await;
        // A message of a megabyte is announced, and a part of it comes.
        let mut part = vec![0, 0, 16, 0, 0];
        part.extend(vec![b'x'; 50_000]);
        body.send_data(part.into(), false).unwrap();
        held.push(body);
        assert!(held.len() < 50, "there is no end to it");
        if let Ok(response) = tokio::time::timeout(Duration::from_millis(300), response).await {
            break Status::from_header_map(response.unwrap().headers()).unwrap();
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    drop((held, raw));
    server.client().await.check_flow(flow("friend", "web", 80)).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn connections_end_when_they_are_old() {
    let server = started(|config| {
        config.life.max_connection_age_seconds = 1;
        config.life.max_connection_age_grace_seconds = 1;
    })
    .await;
    let stream = TcpStream::connect(address(&server)).await.unwrap();
    let (send, connection) = h2::client::Builder::new().handshake::<_, Bytes>(stream).await.unwrap();
    // GOAWAY without an error: an ordinary end.
    tokio::time::timeout(Duration::from_secs(30), connection).await.unwrap().unwrap();
    drop(send);
    // A client that is used all the while notices nothing.
    let mut client = server.client().await;
    for _ in 0..60 {
        client.check_flow(flow("friend", "web", 80)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop().await;
}
