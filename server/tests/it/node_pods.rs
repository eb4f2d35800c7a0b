//! What whoever enforces policies on a node is told, and may keep.

use gavel_proto::v1 as pb;

use crate::support::{FLOWS, Server, flow};

/// Two pods of one node, one of them in its network, and one of another node.
const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: here, namespace: shop, uid: 01234567-89ab-cdef-0123-456789abcdef, labels: {app: here}}
spec: {nodeName: node-1, containers: [{name: c, image: i}]}
status: {podIPs: [{ip: 10.0.1.1}, {ip: 'fd00::1'}], phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: proxy, namespace: shop}
spec: {nodeName: node-1, hostNetwork: true, containers: [{name: c, image: i}]}
status: {podIP: 192.168.0.1, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: there, namespace: shop}
spec: {nodeName: node-2, containers: [{name: c, image: i}]}
status: {podIP: 10.0.2.1, phase: Running}
"#;

fn isolating(name: &str, app: &str, types: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{podSelector: {{matchLabels: {{app: {app}}}}}, policyTypes: [{types}]}}\n"
    )
}

#[tokio::test]
async fn the_pods_of_a_node_are_told_when_they_change() {
    let server = Server::start(&[("flows.yaml", FLOWS), ("pods.yaml", PODS)]).await;
    let mut client = server.client().await;
    let of = |node: &str| pb::WatchNodePodsRequest { node: node.into() };
    let mut here = client.watch_node_pods(of("node-1")).await.unwrap().into_inner();
    let first = here.message().await.unwrap().unwrap();
    let pod = pb::NodePod {
        namespace: "shop".into(),
        name: "here".into(),
        uid: "01234567-89ab-cdef-0123-456789abcdef".into(),
        ips: vec!["10.0.1.1".into(), "fd00::1".into()],
        ingress_isolated: false,
        egress_isolated: false,
    };
    assert_eq!((first.revision, &first.pods), (1, &vec![pod.clone()]));
    let instance = server.snapshot(|_| true).await.instance;
    assert_eq!(first.instance, instance);

    // Of all nodes, and of a node that nobody knows.
    let mut all = client.watch_node_pods(of("")).await.unwrap().into_inner();
    let names = |message: pb::NodePods| message.pods.into_iter().map(|pod| pod.name).collect::<Vec<_>>();
    assert_eq!(names(all.message().await.unwrap().unwrap()), ["friend", "here", "stranger", "there", "web"]);
    let mut unknown = client.watch_node_pods(of("node-9")).await.unwrap().into_inner();
    assert!(unknown.message().await.unwrap().unwrap().pods.is_empty());

    // A change that nothing follows from here; then two that matter.
    server.write("elsewhere.yaml", &isolating("elsewhere", "nobody", "Ingress"));
    server.snapshot(|snapshot| snapshot.revision == 2).await;
    server.write("here.yaml", &isolating("here", "here", "Egress"));
    let next = here.message().await.unwrap().unwrap();
    let held = pb::NodePod { egress_isolated: true, ..pod.clone() };
    assert_eq!((next.revision, next.pods), (3, vec![held]));
    // Pods alone change: elsewhere, then here, to what no policy isolates.
    server.write("pods.yaml", &PODS.replace("10.0.2.1", "10.0.2.2"));
    server.snapshot(|snapshot| snapshot.revision == 4).await;
    server.write("pods.yaml", &PODS.replace("{app: here}", "{app: other}"));
    let free = here.message().await.unwrap().unwrap();
    assert_eq!((free.revision, free.pods), (5, vec![pod]));
    std::fs::remove_file(server.file("pods.yaml")).unwrap();
    let last = here.message().await.unwrap().unwrap();
    assert_eq!((last.revision, last.pods.len()), (6, 0));
    server.stop().await;
    assert_eq!(here.message().await.unwrap_err().code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn what_may_be_kept_is_told() {
    let open_to_some = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
        metadata: {name: there, namespace: shop}\nspec:\n  podSelector: {matchLabels: {app: here}}\n  \
        ingress: [{from: [{ipBlock: {cidr: 10.0.0.3/32}}]}]\n";
    let files = [("flows.yaml", FLOWS), ("pods.yaml", PODS), ("open.yaml", open_to_some)];
    let server = Server::start(&files).await;
    let mut client = server.client().await;
    let address = |ip: &str| Some(pb::End { end: Some(pb::end::End::Ip(ip.into())) });
    let ask = |source, destination| pb::CheckFlowRequest {
        source: address(source),
        destination: address(destination),
        port: 80,
        ..Default::default()
    };
    let outside = "192.0.2.1";
    let questions = vec![
        flow("friend", "web", 80),
        ask("10.0.0.2", "10.0.0.1"),
        ask("10.0.0.3", "10.0.0.1"),
        ask(outside, "10.0.0.1"),
        // By an ipBlock: it matters who asks, but not who answers.
        ask("10.0.0.3", "10.0.1.1"),
        ask("10.0.0.1", "10.0.0.1"),
        pb::CheckFlowRequest { explain: true, ..ask("10.0.0.2", "10.0.0.1") },
    ];
    let asked = |detail: pb::AnswerDetail| pb::BatchCheckFlowRequest {
        questions: questions.clone(),
        detail: detail.into(),
        consistency: None,
    };
    let answers = client.batch_check_flow(asked(pb::AnswerDetail::Cacheable)).await.unwrap().into_inner();
    let answers: Vec<_> = answers
        .results
        .into_iter()
        .map(|result| match result.result.unwrap() {
            pb::check_flow_result::Result::Answer(answer) => answer,
            pb::check_flow_result::Result::Error(error) => panic!("{error:?}"),
        })
        .collect();
    let identities: Vec<_> =
        answers.iter().map(|answer| (answer.source_identity, answer.destination_identity)).collect();
    let (friend, web) = identities[0];
    assert!(friend != 0 && web != 0 && friend != web);
    assert_eq!(identities[1], (friend, web));
    let (stranger, of_web) = identities[2];
    assert!(stranger != 0 && stranger != friend && of_web == web);
    assert_eq!(identities[3], (0, web));
    assert!(identities[4].0 == 0 && identities[4].1 != 0);
    assert_eq!(identities[5..], [(0, 0), (0, 0)]);
    // The rest is as among verdicts.
    let verdicts = client.batch_check_flow(asked(pb::AnswerDetail::Verdict)).await.unwrap().into_inner();
    for (answer, verdict) in answers.into_iter().zip(verdicts.results) {
        let answer = pb::CheckFlowResponse { source_identity: 0, destination_identity: 0, ..answer };
        assert_eq!(verdict.result, Some(pb::check_flow_result::Result::Answer(answer)));
    }
    server.stop().await;
}
