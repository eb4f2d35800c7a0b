//! Manifests that change under a running server.

use gavel_proto::v1 as pb;

use crate::support::{FLOWS, Server, flow, get};

async fn verdict(server: &Server, from: &str) -> pb::Verdict {
    server.client().await.check_flow(flow(from, "web", 80)).await.unwrap().into_inner().verdict()
}

#[tokio::test]
async fn a_change_takes_effect() {
    let server = Server::start(&[("flows.yaml", FLOWS)]).await;
    assert_eq!(verdict(&server, "stranger").await, pb::Verdict::Deny);
    let open = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: open, namespace: shop}\n\
                spec: {podSelector: {}, ingress: [{}]}\n";
    server.write("open.yaml", open);
    let snapshot = server.snapshot(|snapshot| snapshot.revision == 2).await;
    assert_eq!(snapshot.objects["NetworkPolicy"], 2);
    assert_eq!(verdict(&server, "stranger").await, pb::Verdict::Allow);
    std::fs::remove_file(server.file("open.yaml")).unwrap();
    server.snapshot(|snapshot| snapshot.revision == 3).await;
    assert_eq!(verdict(&server, "stranger").await, pb::Verdict::Deny);
    server.stop().await;
}

#[tokio::test]
async fn an_error_keeps_the_last_good_snapshot_and_shows() {
    let server = Server::start(&[("flows.yaml", FLOWS)]).await;
    let cases = [
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: bad, namespace: shop}\nspec:\n  podSelector: {}\n  ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}]\n",
            "spec.ingress[0].from[0].ipBlock.cidr",
            "10.0.0.0/33",
        ),
        ("kind: [unclosed", "", ""),
    ];
    for (text, field, part) in cases {
        server.write("bad.yaml", text);
        let snapshot = server
            .snapshot(|snapshot| {
                snapshot.sources[0].state() == pb::SourceState::Failing
                    && snapshot.diagnostics.iter().any(|diagnostic| diagnostic.field == field)
            })
            .await;
        let diagnostic = &snapshot.diagnostics[0];
        assert_eq!(diagnostic.severity(), pb::Severity::Error);
        assert!(diagnostic.file.ends_with("bad.yaml"), "{diagnostic:?}");
        assert_eq!(diagnostic.document, 1);
        assert!(diagnostic.message.contains(part), "{diagnostic:?}");
        assert_eq!(snapshot.revision, 1, "the last good snapshot stays");
        assert_eq!(verdict(&server, "friend").await, pb::Verdict::Allow);
        let (status, text) = get(server.running.admin, "/readyz").await;
        assert_eq!(status, 200);
        assert!(text.contains("[-] source manifests failing") && text.contains("bad.yaml"), "{text}");
    }
    std::fs::remove_file(server.file("bad.yaml")).unwrap();
    let snapshot = server.snapshot(|snapshot| snapshot.sources[0].state() == pb::SourceState::Synced).await;
    assert!(snapshot.diagnostics.is_empty(), "{snapshot:?}");
    server.stop().await;
}

/// Manifests have revisions, and no resourceVersions; and they are stale only as long as they cannot be read.
#[tokio::test]
async fn questions_may_ask_for_a_revision() {
    let server = Server::start(&[("flows.yaml", FLOWS)]).await;
    let mut client = server.client().await;
    let asked = |consistency: pb::Consistency| {
        let question = pb::CheckFlowRequest { consistency: Some(consistency), ..flow("stranger", "web", 80) };
        let mut request = tonic::Request::new(question);
        request.set_timeout(std::time::Duration::from_secs(20));
        request
    };
    let at_least = |revision: u64| asked(pb::Consistency { revision, ..Default::default() });
    let answer = client.check_flow(at_least(1)).await.unwrap().into_inner();
    assert_eq!((answer.verdict(), answer.revision, answer.staleness), (pb::Verdict::Deny, 1, None));
    // Asked before it is there.
    let mut waiting = client.clone();
    let waiting = tokio::spawn(async move { waiting.check_flow(asked_for_two()).await });
    let open = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: open, namespace: shop}\n\
                spec: {podSelector: {}, ingress: [{}]}\n";
    server.write("open.yaml", open);
    let answer = waiting.await.unwrap().unwrap().into_inner();
    assert_eq!((answer.verdict(), answer.revision), (pb::Verdict::Allow, 2));
    let of_a_cluster = asked(pb::Consistency { resource_version: "1".into(), ..Default::default() });
    let status = client.check_flow(of_a_cluster).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(status.message().starts_with("consistency.resourceVersion: "), "{}", status.message());

    server.write("bad.yaml", "kind: [unclosed");
    server.snapshot(|snapshot| snapshot.sources[0].state() == pb::SourceState::Failing).await;
    let answer = client.check_flow(at_least(2)).await.unwrap().into_inner();
    assert!(answer.staleness.is_some(), "the manifests are others by now");
    std::fs::remove_file(server.file("bad.yaml")).unwrap();
    server.snapshot(|snapshot| snapshot.sources[0].state() == pb::SourceState::Synced).await;
    let answer = client.check_flow(at_least(2)).await.unwrap().into_inner();
    assert_eq!(answer.staleness, None);
    server.stop().await;
}

fn asked_for_two() -> tonic::Request<pb::CheckFlowRequest> {
    let consistency = Some(pb::Consistency { revision: 2, ..Default::default() });
    let mut request =
        tonic::Request::new(pb::CheckFlowRequest { consistency, ..flow("stranger", "web", 80) });
    request.set_timeout(std::time::Duration::from_secs(20));
    request
}
