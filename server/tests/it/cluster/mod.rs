//! A server that follows a cluster, and what happens when that fails.

mod fake;

use std::time::Duration;

use fake::{Fake, Mode};
use gavel_proto::v1 as pb;
use gavel_proto::v1::policy_decision_client::PolicyDecisionClient;
use gavel_server::{Config, Running, start};
use tonic::Code;
use tonic::transport::Channel;

use crate::support::{flow, get};

const POD: &str = "metadata: {name: NAME, namespace: shop, labels: {app: NAME}}\n\
                   spec: {containers: [{name: c, image: i}]}\nstatus: {phase: Running, podIP: ADDRESS}\n";
const ISOLATE: &str =
    "metadata: {name: isolate, namespace: shop}\nspec: {podSelector: {matchLabels: {app: web}}}\n";
const OPEN: &str = "metadata: {name: open, namespace: shop}\nspec: {podSelector: {matchLabels: {app: web}}, ingress: [{}]}\n";

struct Server {
    running: Running,
    client: PolicyDecisionClient<Channel>,
}

impl Server {
    async fn start(fake: &Fake, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::local(Vec::new());
        config.cluster = true;
        config.kubeconfig = Some(fake.kubeconfig());
        config.watch_seconds = 5;
        change(&mut config);
        let running = start(config).await.unwrap();
        let client = PolicyDecisionClient::connect(format!("http://{}", running.listening[0])).await.unwrap();
        Self { running, client }
    }

    async fn ready(fake: &Fake, change: impl FnOnce(&mut Config)) -> Self {
        let mut server = Self::start(fake, change).await;
        tokio::time::timeout(Duration::from_secs(30), server.running.ready()).await.unwrap().unwrap();
        server
    }

    /// The verdict on a flow from `friend` to `web`, of a snapshot that holds this write.
    async fn verdict(&mut self, since: Option<u64>) -> pb::Verdict {
        let consistency = since
            .map(|version| pb::Consistency { resource_version: version.to_string(), ..Default::default() });
        let request = pb::CheckFlowRequest { consistency, ..flow("friend", "web", 80) };
        self.client.check_flow(request).await.unwrap().into_inner().verdict()
    }

    async fn snapshot(&mut self) -> pb::GetSnapshotResponse {
        self.client.get_snapshot(pb::GetSnapshotRequest::default()).await.unwrap().into_inner()
    }

    /// Waits until a source is in this state.
    async fn until(&mut self, source: &str, state: pb::SourceState) -> pb::GetSnapshotResponse {
        for _ in 0..600 {
            let snapshot = self.snapshot().await;
            if snapshot.sources.iter().any(|status| status.name == source && status.state() == state) {
                return snapshot;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{source} never became {state:?}: {:?}", self.snapshot().await.sources);
    }

    async fn readyz(&self) -> (u16, String) {
        get(self.running.admin, "/readyz").await
    }
}

fn pod(name: &str, ip: &str) -> String {
    POD.replace("NAME", name).replace("ADDRESS", ip)
}

async fn shop() -> Fake {
    let fake = Fake::start().await;
    fake.write("pods", &pod("web", "10.0.0.1"));
    fake.write("pods", &pod("friend", "10.0.0.2"));
    fake
}

#[tokio::test]
async fn writes_take_effect_for_whoever_asks_for_them() {
    let fake = shop().await;
    let mut server = Server::ready(&fake, |_| {}).await;
    assert_eq!(fake.requests("page"), 0, "streaming lists are used where they are to be had");
    assert_eq!(server.verdict(None).await, pb::Verdict::Allow);
    let written = fake.write("networkpolicies", ISOLATE);
    assert_eq!(server.verdict(Some(written)).await, pb::Verdict::Deny);
    let written = fake.write("networkpolicies", OPEN);
    assert_eq!(server.verdict(Some(written)).await, pb::Verdict::Allow);
    let written = fake.remove("networkpolicies", "shop", "open");
    assert_eq!(server.verdict(Some(written)).await, pb::Verdict::Deny);
    // A pod's status that policies do not look at makes no new revision, and yet is held.
    let before = server.snapshot().await.revision;
    let touched = pod("web", "10.0.0.1").replace("Running", "Running, startTime: now");
    let written = fake.write("pods", &touched);
    assert_eq!(server.verdict(Some(written)).await, pb::Verdict::Deny);
    let snapshot = server.snapshot().await;
    assert_eq!(snapshot.revision, before);
    assert!(snapshot.staleness.is_some(), "an answer from a cluster tells its age");
    server.running.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_snapshot_that_does_not_come_is_told_of_before_the_deadline() {
    let fake = shop().await;
    let mut server = Server::ready(&fake, |_| {}).await;
    // Answered half a second before: enough also on a machine that is busy.
    let wanted = |consistency: pb::Consistency| {
        let question = pb::CheckFlowRequest { consistency: Some(consistency), ..flow("friend", "web", 80) };
        let mut request = tonic::Request::new(question);
        request.set_timeout(Duration::from_secs(5));
        request
    };
    let future = pb::Consistency {
        resource_version: "999999".into(),
        kind: "NetworkPolicy".into(),
        ..Default::default()
    };
    let mut other = server.client.clone();
    let (of_version, of_revision) = tokio::join!(
        server.client.check_flow(wanted(future)),
        other.check_flow(wanted(pb::Consistency { revision: 77, ..Default::default() })),
    );
    let status = of_version.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("999999 of NetworkPolicy, held: "), "{}", status.message());
    let status = of_revision.unwrap_err();
    assert!(status.message().contains("at revision 1 (wanted: 77)"), "{}", status.message());
    for (consistency, field) in [
        (
            pb::Consistency { resource_version: "abc".into(), ..Default::default() },
            "consistency.resourceVersion",
        ),
        (pb::Consistency { kind: "Role".into(), ..Default::default() }, "consistency.kind"),
        (
            pb::Consistency { kind: "Rolle".into(), resource_version: "1".into(), ..Default::default() },
            "consistency.kind",
        ),
        (
            pb::Consistency {
                max_staleness: Some(pbjson_types::Duration { seconds: -1, nanos: 0 }),
                ..Default::default()
            },
            "consistency.maxStaleness",
        ),
    ] {
        let status = server.client.check_flow(wanted(consistency)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(field), "{}", status.message());
    }
    server.running.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_api_server_that_fails_leaves_the_last_snapshot() {
    let fake = shop().await;
    let mut server = Server::ready(&fake, |config| config.unready_after_seconds = 3).await;
    fake.set_mode(Mode::Down);
    let snapshot = server.until("cluster/Pod", pb::SourceState::Failing).await;
    let source = snapshot.sources.iter().find(|source| source.name == "cluster/Pod").unwrap();
    assert!(source.detail.contains("the fake is down"), "{source:?}");
    assert_eq!(server.verdict(None).await, pb::Verdict::Allow);
    // Nobody who asks for freshness is answered with less.
    let max_staleness = Some(pbjson_types::Duration { seconds: 0, nanos: 1 });
    let consistency = Some(pb::Consistency { max_staleness, ..Default::default() });
    let mut request = tonic::Request::new(pb::CheckFlowRequest { consistency, ..flow("friend", "web", 80) });
    request.set_timeout(Duration::from_millis(500));
    let status = server.client.check_flow(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("last known to be current"), "{}", status.message());
    // Readiness is given up at last, and answers go on.
    let mut readyz = server.readyz().await;
    for _ in 0..200 {
        if readyz.0 == 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        readyz = server.readyz().await;
    }
    assert_eq!(readyz.0, 503, "{}", readyz.1);
    assert!(readyz.1.contains("[-] snapshot known to be current"), "{}", readyz.1);
    assert_eq!(server.verdict(None).await, pb::Verdict::Allow);
    let (_, metrics) = get(server.running.admin, "/metrics").await;
    assert!(metrics.contains(r#"gavel_source_up{source="cluster/Pod"} 0"#), "{metrics}");
    fake.set_mode(Mode::Well);
    let written = fake.write("networkpolicies", ISOLATE);
    assert_eq!(server.verdict(Some(written)).await, pb::Verdict::Deny);
    server.until("cluster/Role", pb::SourceState::Synced).await;
    server.running.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_watch_that_goes_silent_is_noticed() {
    let fake = shop().await;
    let mut server = Server::ready(&fake, |_| {}).await;
    fake.set_mode(Mode::Silent);
    fake.write("networkpolicies", ISOLATE);
    server.until("cluster/NetworkPolicy", pb::SourceState::Failing).await;
    let (_, metrics) = get(server.running.admin, "/metrics").await;
    let stalled = r#"gavel_watch_breakages_total{kind="NetworkPolicy",reason="stalled"} "#;
    let count = metrics.lines().find_map(|line| line.strip_prefix(stalled)).unwrap();
    assert!(count.parse::<u64>().unwrap() > 0);
    fake.set_mode(Mode::Well);
    server.until("cluster/NetworkPolicy", pb::SourceState::Synced).await;
    assert_eq!(server.verdict(None).await, pb::Verdict::Deny);
    server.running.shutdown().await.unwrap();
}

#[tokio::test]
async fn forgotten_changes_are_listed_anew_by_pages_too() {
    let fake = shop().await;
    fake.refuse_streaming(1);
    for number in 0..5 {
        fake.write("pods", &pod(&format!("p{number}"), &format!("10.0.1.{number}")));
    }
    let mut server = Server::ready(&fake, |_| {}).await;
    assert_eq!(server.snapshot().await.objects["Pod"], 7);
    assert_eq!(fake.requests("streaming list"), 0);
    fake.set_mode(Mode::Down);
    server.until("cluster/Pod", pb::SourceState::Failing).await;
    fake.remove("pods", "shop", "p0");
    fake.write("networkpolicies", ISOLATE);
    fake.forget();
    fake.set_mode(Mode::Well);
    for _ in 0..200 {
        if server.snapshot().await.objects["Pod"] == 6 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.snapshot().await.objects["Pod"], 6);
    let (_, metrics) = get(server.running.admin, "/metrics").await;
    assert!(!metrics.contains(r#"gavel_watch_breakages_total{kind="Pod",reason="expired"} 0"#), "{metrics}");
    server.until("cluster/NetworkPolicy", pb::SourceState::Synced).await;
    assert_eq!(server.verdict(None).await, pb::Verdict::Deny);
    server.running.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_kind_may_come_and_go() {
    let psp = "metadata: {name: any}\nspec: {seLinux: {rule: RunAsAny}, runAsUser: {rule: RunAsAny}, \
               fsGroup: {rule: RunAsAny}, supplementalGroups: {rule: RunAsAny}}\n";
    let fake = shop().await;
    fake.set_crd(false);
    let mut server = Server::ready(&fake, |_| {}).await;
    server.until("cluster/PodSecurityPolicy", pb::SourceState::Absent).await;
    fake.set_crd(true);
    fake.write("podsecuritypolicies", psp);
    let snapshot = server.until("cluster/PodSecurityPolicy", pb::SourceState::Synced).await;
    assert_eq!(snapshot.objects.get("PodSecurityPolicy"), Some(&1));
    fake.set_crd(false);
    let snapshot = server.until("cluster/PodSecurityPolicy", pb::SourceState::Absent).await;
    assert_eq!(snapshot.objects.get("PodSecurityPolicy"), None);
    assert_eq!(server.readyz().await.0, 200);
    server.running.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_named_and_counted() {
    let bad = "metadata: {name: bad, namespace: shop}\n\
               spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/99}}]}]}\n";
    let fake = shop().await;
    fake.write("networkpolicies", bad);
    let mut server = Server::ready(&fake, |_| {}).await;
    let snapshot = server.snapshot().await;
    let [diagnostic] = snapshot.diagnostics.as_slice() else { panic!("{:?}", snapshot.diagnostics) };
    assert_eq!(diagnostic.object, "NetworkPolicy shop/bad");
    assert_eq!(diagnostic.field, "spec.ingress[0].from[0].ipBlock.cidr");
    assert!(diagnostic.message.contains("isolated"), "{diagnostic:?}");
    // It isolates, and its rule lets nothing pass.
    assert_eq!(server.verdict(None).await, pb::Verdict::Deny);
    let (_, metrics) = get(server.running.admin, "/metrics").await;
    assert!(metrics.contains(r#"gavel_source_errors{source="cluster/NetworkPolicy"} 1"#), "{metrics}");
    let written = fake.write("networkpolicies", &bad.replace("/99", "/8"));
    assert_eq!(server.verdict(Some(written)).await, pb::Verdict::Allow);
    assert!(server.snapshot().await.diagnostics.is_empty());
    server.running.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_restarted_server_answers_from_disk_and_says_so() {
    let fake = shop().await;
    fake.write("networkpolicies", ISOLATE);
    let state = fake.folder().join("state");
    let with_state = |config: &mut Config| config.state_dir = Some(state.clone());
    let mut server = Server::ready(&fake, with_state).await;
    assert_eq!(server.verdict(None).await, pb::Verdict::Deny);
    server.running.shutdown().await.unwrap();
    fake.set_mode(Mode::Down);

    let mut without = Server::start(&fake, |_| {}).await;
    let status = without.client.check_flow(flow("friend", "web", 80)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("cluster/Pod"), "{}", status.message());
    assert_eq!(without.readyz().await.0, 503);
    without.running.shutdown().await.unwrap();

    let mut server = Server::ready(&fake, with_state).await;
    let answer = server.client.check_flow(flow("friend", "web", 80)).await.unwrap().into_inner();
    assert_eq!(answer.verdict(), pb::Verdict::Deny);
    assert!(answer.staleness.is_some());
    let snapshot = server.until("cluster/Pod", pb::SourceState::Restored).await;
    assert_eq!(snapshot.objects["Pod"], 2);
    // What happened meanwhile is caught up with.
    fake.remove("networkpolicies", "shop", "isolate");
    fake.set_mode(Mode::Well);
    server.until("cluster/NetworkPolicy", pb::SourceState::Synced).await;
    server.until("cluster/Pod", pb::SourceState::Synced).await;
    for _ in 0..100 {
        if server.snapshot().await.revision > 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.verdict(None).await, pb::Verdict::Allow);
    server.running.shutdown().await.unwrap();
}

#[tokio::test]
async fn every_revision_is_told_with_what_it_holds() {
    let fake = shop().await;
    let mut server = Server::ready(&fake, |_| {}).await;
    let mut revisions = server.client.watch_snapshot(pb::WatchSnapshotRequest {}).await.unwrap().into_inner();
    let first = revisions.message().await.unwrap().unwrap();
    assert_eq!((first.revision, first.missed), (1, false));
    assert_eq!(first.instance, server.snapshot().await.instance);
    for number in 1..=20u64 {
        let written = fake.write("networkpolicies", ISOLATE);
        let next = revisions.message().await.unwrap().unwrap();
        assert_eq!(next.revision, number + 1);
        assert_eq!(next.changed_kinds, ["NetworkPolicy"]);
        assert_eq!(next.resource_versions["NetworkPolicy"], written.to_string());
    }
    server.running.shutdown().await.unwrap();
    // The end of the server is the end of the stream, with a word.
    assert_eq!(revisions.message().await.unwrap_err().code(), Code::Unavailable);
}
