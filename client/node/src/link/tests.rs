//! A link to real servers on loopback; what hangs and what is nobody, too.

use std::path::Path;
use std::time::Duration;

use gavel_client::Security;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::{Event, Link, Settings};
use crate::flow::{Flow, Protocol};

const SOON: Duration = Duration::from_secs(30);

const PODS: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: node-1, containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.1, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: friend, namespace: shop, labels: {app: friend}}
spec: {nodeName: node-2, containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.2, phase: Running}
";

const POLICY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}]}]
";

async fn server(folder: &Path) -> gavel_server::Running {
    let mut running =
        gavel_server::start(gavel_server::Config::local(vec![folder.to_owned()])).await.unwrap();
    timeout(SOON, running.ready()).await.unwrap().unwrap();
    running
}

fn manifests() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pods.yaml"), PODS).unwrap();
    folder
}

fn open(servers: Vec<String>) -> Link {
    Link::open(Settings {
        servers,
        security: Security::default(),
        node: "node-1".into(),
        timeout: Duration::from_millis(300),
    })
}

impl Link {
    async fn next(&mut self) -> Event {
        timeout(SOON, self.events.recv()).await.expect("nothing is told").expect("the link has ended")
    }

    /// The next thing that is told and is no revision in which flows stayed as they were.
    async fn next_but_quiet(&mut self) -> Event {
        loop {
            let event = self.next().await;
            if !matches!(event, Event::Revision { flows_changed: false, .. }) {
                return event;
            }
        }
    }

    /// Waits until there is a server, past those that will not do.
    async fn until_up(&mut self) {
        while !matches!(self.next().await, Event::Up(_)) {}
    }
}

fn flow(source: [u8; 4], port: u16) -> Flow {
    Flow { source: source.into(), destination: [10, 0, 0, 1].into(), protocol: Protocol::Tcp, port }
}

#[tokio::test]
async fn revision_and_pods_come_before_the_first_answer() {
    let folder = manifests();
    let server = server(folder.path()).await;
    let mut link = open(vec![server.listening[0].clone()]);
    assert!(matches!(link.next().await, Event::Revision { flows_changed: true, revision: 1 }));
    let Event::Pods(pods) = link.next().await else { panic!("no pods") };
    assert_eq!(pods.pods.len(), 1);
    assert!(!pods.pods[0].ingress_isolated);
    assert!(matches!(link.next().await, Event::Up(_)));

    std::fs::write(folder.path().join("policy.yaml"), POLICY).unwrap();
    let (mut told, mut isolated) = (false, false);
    while !(told && isolated) {
        match link.next().await {
            Event::Revision { flows_changed, revision } => told |= flows_changed && revision == 2,
            Event::Pods(pods) => isolated |= pods.pods[0].ingress_isolated,
            other => panic!("{other:?}"),
        }
    }
    let asked = [flow([10, 0, 0, 2], 80), flow([10, 0, 0, 9], 80), flow([10, 0, 0, 2], 81)];
    for flow in asked {
        link.questions.send(flow).unwrap();
    }
    let mut answered = Vec::new();
    while answered.len() < asked.len() {
        let Event::Answers { answers, revision } = link.next_but_quiet().await else { panic!("no answers") };
        assert_eq!(revision, 2);
        answered.extend(answers);
    }
    for ((flow, answer), (asked, allowed)) in answered.iter().zip(asked.iter().zip([true, false, true])) {
        assert_eq!(flow, asked);
        let answer = answer.as_ref().unwrap();
        assert_eq!(answer.allowed, allowed);
        assert_ne!(answer.destination_identity, 0);
    }
    server.shutdown().await.unwrap();
    assert!(matches!(link.next_but_quiet().await, Event::Down(_)));
}

#[tokio::test]
async fn servers_that_will_not_do_are_left_for_the_next() {
    let folder = manifests();
    let (one, two) = (server(folder.path()).await, server(folder.path()).await);
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let servers = vec![nobody, one.listening[0].clone(), two.listening[0].clone()];
    let mut link = open(servers);
    assert!(matches!(link.next().await, Event::Down(_)));
    link.until_up().await;
    one.shutdown().await.unwrap();
    assert!(matches!(link.next_but_quiet().await, Event::Down(_)));
    link.until_up().await;
    link.questions.send(flow([10, 0, 0, 2], 80)).unwrap();
    assert!(matches!(link.next_but_quiet().await, Event::Answers { .. }));
    two.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_left() {
    let folder = manifests();
    let server = server(folder.path()).await;
    // Between them somebody who passes everything on, until nothing any more.
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = proxy.local_addr().unwrap().to_string();
    let behind = server.listening[0].clone();
    let stall = tokio_util::sync::CancellationToken::new();
    let stalled = stall.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = proxy.accept().await {
            let (behind, stalled) = (behind.clone(), stalled.clone());
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(behind).await.unwrap();
                let mut client = client;
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    () = stalled.cancelled() => std::future::pending().await,
                }
            });
        }
    });
    let mut link = open(vec![address]);
    link.until_up().await;
    link.questions.send(flow([10, 0, 0, 2], 80)).unwrap();
    assert!(matches!(link.next_but_quiet().await, Event::Answers { .. }));
    // Nothing is asked: that it hangs is found out all the same.
    stall.cancel();
    let Event::Down(why) = link.next_but_quiet().await else { panic!("still up") };
    assert!(why.contains("no answer within"), "{why}");
    server.shutdown().await.unwrap();
}
