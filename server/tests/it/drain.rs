//! The end: readiness falls first, requests in flight are answered, connections are told.

use std::time::Duration;

use gavel_proto::v1 as pb;
use tokio::sync::oneshot;
use tonic::Code;

use crate::support::{FLOWS, Server, flow, get};

#[tokio::test]
async fn readiness_falls_first_and_what_is_in_flight_is_answered() {
    let server = Server::start_with(&[("flows.yaml", FLOWS)], |config| {
        config.life.drain_delay_seconds = 1;
        config.life.drain_seconds = 20;
    })
    .await;
    let admin = server.running.admin;
    let mut client = server.client().await;
    let mut waiting = server.client().await;
    let file = server.file("more.yaml");
    let address = server.running.listening[0].clone();
    let mut watch = client.watch_snapshot(pb::WatchSnapshotRequest::default()).await.unwrap().into_inner();
    let revision = watch.message().await.unwrap().unwrap().revision;
    // Waits for a revision that is still to come.
    let in_flight = tokio::spawn(async move {
        let consistency = Some(pb::Consistency { revision: revision + 1, ..Default::default() });
        waiting.check_flow(pb::CheckFlowRequest { consistency, ..flow("friend", "web", 80) }).await
    });
    let (tell, told) = oneshot::channel::<()>();
    let (running, folder) = server.into_parts();
    let stopped = tokio::spawn(running.until(
        async {
            let _ = told.await;
        },
        Duration::from_secs(20),
    ));
    assert_eq!(get(admin, "/readyz").await.0, 200);
    tell.send(()).unwrap();
    for _ in 0..300 {
        if get(admin, "/readyz").await.0 == 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(get(admin, "/readyz").await.0, 503, "readiness falls first");
    assert_eq!(get(admin, "/livez").await.0, 200);
    // Whoever has not noticed yet is served, on new connections, too.
    client.check_flow(flow("friend", "web", 80)).await.unwrap();
    let mut late =
        pb::policy_decision_client::PolicyDecisionClient::connect(format!("http://{address}")).await.unwrap();
    late.check_flow(flow("friend", "web", 80)).await.unwrap();
    // Streams are told.
    let status = loop {
        if let Err(status) = watch.message().await {
            break status;
        }
    };
    assert_eq!(status.code(), Code::Unavailable);
    // Now nobody is let in any more, and what is in flight is waited for.
    assert!(tokio::net::TcpStream::connect(&address).await.is_err());
    assert_eq!(get(admin, "/livez").await.0, 200, "probes are answered until the last request is");
    std::fs::write(file, "apiVersion: v1\nkind: Namespace\nmetadata: {name: more}\n").unwrap();
    in_flight.await.unwrap().unwrap();
    stopped.await.unwrap().unwrap();
    drop(folder);
}
