//! Who may ask: real certificates, real tokens, rights from grants and from the snapshot.

use std::time::Duration;

use gavel_proto::v1 as pb;
use gavel_proto::v1::policy_decision_client::PolicyDecisionClient;
use gavel_server::Config;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use crate::certificates::{Authority, Issued, Subject};
use crate::support::{ADMISSION, FLOWS, POD, Server, admission, flow};
use crate::tokens::Issuer;

/// Who may watch and ask for flows, by RBAC.
const RIGHTS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: gavel-node}
rules:
- {apiGroups: [gavel.dev], resources: [flowchecks], verbs: [create]}
- {apiGroups: [gavel.dev], resources: [snapshots], verbs: [watch]}
- {apiGroups: [gavel.dev], resources: [nodepods], verbs: [watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: gavel-node}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: gavel-node}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: node-1}
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: nodes}
- {kind: ServiceAccount, name: agent, namespace: kube-system}
"#;

fn mutual(authority: &Authority, config: &mut Config, grants: &[&str]) {
    let (certificate, key, ca) = authority.server_files();
    config.access.tls_cert = Some(certificate);
    config.access.tls_key = Some(key);
    config.access.tls_client_ca = Some(ca);
    config.access.grant = grants.iter().map(|grant| grant.parse().unwrap()).collect();
}

async fn started(authority: &Authority, grants: &[&str]) -> Server {
    let files = [("flows.yaml", FLOWS), ("admission.yaml", ADMISSION), ("rights.yaml", RIGHTS)];
    Server::start_with(&files, |config| mutual(authority, config, grants)).await
}

/// What each call says to whoever asks by this channel, by its name.
async fn every_call(channel: &Channel, token: Option<&str>) -> Vec<(&'static str, Result<(), Status>)> {
    fn with<T>(message: T, token: Option<&str>) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        request
    }
    let mut client = PolicyDecisionClient::new(channel.clone());
    let authorize = pb::AuthorizeRequest {
        user: "somebody".into(),
        resource_attributes: Some(pb::ResourceAttributes {
            verb: "get".into(),
            resource: "pods".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let watch = async |client: &mut PolicyDecisionClient<Channel>| {
        let mut stream =
            client.watch_snapshot(with(pb::WatchSnapshotRequest::default(), token)).await?.into_inner();
        stream.message().await.map(drop)
    };
    let watch_pods = async |client: &mut PolicyDecisionClient<Channel>| {
        let node = pb::WatchNodePodsRequest { node: "node-1".into() };
        let mut stream = client.watch_node_pods(with(node, token)).await?.into_inner();
        stream.message().await.map(drop)
    };
    let reflect = async || {
        let request = ServerReflectionRequest {
            message_request: Some(MessageRequest::ListServices(String::new())),
            ..Default::default()
        };
        let mut client = ServerReflectionClient::new(channel.clone());
        let asked = with(tokio_stream::iter([request]), token);
        let mut stream = client.server_reflection_info(asked).await?.into_inner();
        stream.message().await.map(drop)
    };
    vec![
        ("Admit", client.admit(with(admission(POD), token)).await.map(drop)),
        ("CheckFlow", client.check_flow(with(flow("friend", "web", 80), token)).await.map(drop)),
        ("Authorize", client.authorize(with(authorize, token)).await.map(drop)),
        ("GetSnapshot", client.get_snapshot(with(pb::GetSnapshotRequest::default(), token)).await.map(drop)),
        ("WatchSnapshot", watch(&mut client).await),
        ("WatchNodePods", watch_pods(&mut client).await),
        ("Reflection", reflect().await),
    ]
}

/// Each call is answered so, but for those that are allowed.
fn assert_refused(calls: &[(&str, Result<(), Status>)], code: Code, allowed: &[&str]) {
    for (name, answer) in calls {
        match answer {
            Ok(()) => assert!(allowed.contains(name), "{name} was answered"),
            Err(status) => {
                assert!(!allowed.contains(name), "{name}: {status:?}");
                assert_eq!(status.code(), code, "{name}: {status:?}");
                assert_nothing_leaks(name, status);
            }
        }
    }
}

/// No word of what the server knows.
fn assert_nothing_leaks(name: &str, status: &Status) {
    let told = format!("{status:?} {:?}", String::from_utf8_lossy(status.details()));
    for secret in ["nonroot", "builder", "shop", "friend", "stranger", "10.0.0.", "gavel-node", "manifests"] {
        assert!(!told.contains(secret), "{name} tells of {secret}: {told}");
    }
}

async fn is_healthy(channel: &Channel) -> bool {
    let request = HealthCheckRequest { service: "gavel.v1.PolicyDecision".into() };
    HealthClient::new(channel.clone()).check(request).await.is_ok()
}

#[tokio::test]
async fn certificates_of_users() {
    let authority = Authority::new();
    let server = started(&authority, &["user:admin=*", "group:webhooks=Admit"]).await;
    let address = server.running.listening[0].clone();
    let ask = async |identity: Option<&Issued>| {
        let channel = authority.connect(&address, identity).await.unwrap();
        assert!(is_healthy(&channel).await, "whoever can connect may ask for health");
        every_call(&channel, None).await
    };
    let all =
        ["Admit", "CheckFlow", "Authorize", "GetSnapshot", "WatchSnapshot", "WatchNodePods", "Reflection"];
    assert_refused(&ask(Some(&authority.user("admin"))).await, Code::PermissionDenied, &all);
    let of_group =
        authority.issue(&Subject { name: "hook", organizations: &["webhooks"], ..Subject::default() });
    assert_refused(&ask(Some(&of_group)).await, Code::PermissionDenied, &["Admit"]);
    // By RBAC of the snapshot: the user, and the group.
    let node = ["CheckFlow", "WatchSnapshot", "WatchNodePods"];
    assert_refused(&ask(Some(&authority.user("node-1"))).await, Code::PermissionDenied, &node);
    let of_group =
        authority.issue(&Subject { name: "node-7", organizations: &["nodes"], ..Subject::default() });
    assert_refused(&ask(Some(&of_group)).await, Code::PermissionDenied, &node);
    assert_refused(&ask(Some(&authority.user("mallory"))).await, Code::PermissionDenied, &[]);
    // Nobody: no certificate, and one without a name.
    assert_refused(&ask(None).await, Code::Unauthenticated, &[]);
    let nameless = authority.issue(&Subject::default());
    assert_refused(&ask(Some(&nameless)).await, Code::Unauthenticated, &[]);
    server.stop().await;
}

#[tokio::test]
async fn certificates_that_are_no_good() {
    let authority = Authority::new();
    let server = started(&authority, &["user:admin=*"]).await;
    let address = server.running.listening[0].clone();
    let expired = authority.issue(&Subject { name: "admin", is_expired: true, ..Subject::default() });
    let of_others = Authority::new().user("admin");
    for (what, identity) in [("expired", expired), ("of another authority", of_others)] {
        // With TLS 1.3 a client learns of it with its first answer only.
        let asked = match authority.connect(&address, Some(&identity)).await {
            Ok(channel) => PolicyDecisionClient::new(channel)
                .get_snapshot(pb::GetSnapshotRequest::default())
                .await
                .map(drop)
                .map_err(|status| status.code()),
            Err(_) => Err(Code::Unavailable),
        };
        assert!(matches!(asked, Err(Code::Unavailable | Code::Unknown)), "{what}: {asked:?}");
    }
    // And the other way round: a client that trusts another authority does not talk to this server.
    Authority::new().connect(&address, None).await.unwrap_err();
    let metrics = server.metrics().await;
    assert!(
        metrics.contains(r#"gavel_connections_rejected_total{reason="handshake_failed"} 3"#),
        "{metrics}"
    );
    server.stop().await;
}

#[tokio::test]
async fn rights_end_with_the_next_snapshot() {
    let authority = Authority::new();
    let server = started(&authority, &["user:admin=*"]).await;
    let address = server.running.listening[0].clone();
    let node = authority.connect(&address, Some(&authority.user("node-1"))).await.unwrap();
    let mut client = PolicyDecisionClient::new(node);
    client.check_flow(flow("friend", "web", 80)).await.unwrap();
    let mut watch = client.watch_snapshot(pb::WatchSnapshotRequest::default()).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap().revision;
    std::fs::remove_file(server.file("rights.yaml")).unwrap();
    let admin = authority.connect(&address, Some(&authority.user("admin"))).await.unwrap();
    let mut admin = PolicyDecisionClient::new(admin);
    let until = |revision| pb::GetSnapshotRequest {
        consistency: Some(pb::Consistency { revision, ..Default::default() }),
    };
    admin.get_snapshot(until(first + 1)).await.unwrap();
    // The same connection, the very next request, and the stream that was open.
    let status = client.check_flow(flow("friend", "web", 80)).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    assert!(status.message().contains("resources: [flowchecks]"), "it says what to bind: {status:?}");
    let status = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            if let Err(status) = watch.message().await {
                return status;
            }
        }
    });
    assert_eq!(status.await.unwrap().code(), Code::PermissionDenied);
    // And come back likewise.
    server.write("rights.yaml", RIGHTS);
    admin.get_snapshot(until(first + 2)).await.unwrap();
    client.check_flow(flow("friend", "web", 80)).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn spiffe_ids_are_service_accounts() {
    let authority = Authority::new();
    let files = [("flows.yaml", FLOWS), ("admission.yaml", ADMISSION), ("rights.yaml", RIGHTS)];
    let server = Server::start_with(&files, |config| {
        mutual(&authority, config, &[]);
        config.access.spiffe_trust_domain = Some("cluster.local".into());
    })
    .await;
    let address = server.running.listening[0].clone();
    for (uri, code, allowed) in [
        (
            "spiffe://cluster.local/ns/kube-system/sa/agent",
            Code::PermissionDenied,
            &["CheckFlow", "WatchSnapshot", "WatchNodePods"][..],
        ),
        ("spiffe://cluster.local/ns/default/sa/agent", Code::PermissionDenied, &[]),
        ("spiffe://elsewhere/ns/kube-system/sa/agent", Code::Unauthenticated, &[]),
    ] {
        let identity = authority.issue(&Subject { uri: Some(uri), ..Subject::default() });
        let channel = authority.connect(&address, Some(&identity)).await.unwrap();
        assert_refused(&every_call(&channel, None).await, code, allowed);
    }
    server.stop().await;
}

#[tokio::test]
async fn tokens_of_service_accounts() {
    let authority = Authority::new();
    let issuer = Issuer::new("https://kubernetes.default.svc");
    let (certificate, key, _) = authority.server_files();
    let keys = authority.file("jwks.json", &issuer.jwks());
    let files = [("flows.yaml", FLOWS), ("admission.yaml", ADMISSION), ("rights.yaml", RIGHTS)];
    let server = Server::start_with(&files, |config| {
        config.access.tls_cert = Some(certificate);
        config.access.tls_key = Some(key);
        config.access.token_keys = Some(keys.to_str().unwrap().parse().unwrap());
        config.access.token_issuer = Some("https://kubernetes.default.svc".into());
    })
    .await;
    let channel = authority.connect(&server.running.listening[0], None).await.unwrap();
    let agent = issuer.token("kube-system", "agent", "gavel", 600);
    for (what, token, code, allowed) in [
        ("good", agent.clone(), Code::PermissionDenied, &["CheckFlow", "WatchSnapshot", "WatchNodePods"][..]),
        ("without a right", issuer.token("default", "agent", "gavel", 600), Code::PermissionDenied, &[]),
        ("for somebody else", issuer.token("kube-system", "agent", "vault", 600), Code::Unauthenticated, &[]),
        ("expired", issuer.token("kube-system", "agent", "gavel", -600), Code::Unauthenticated, &[]),
        (
            "of another issuer",
            Issuer::new("https://elsewhere").token("kube-system", "agent", "gavel", 600),
            Code::Unauthenticated,
            &[],
        ),
        (
            "signed with another key",
            Issuer::new("https://kubernetes.default.svc").token("kube-system", "agent", "gavel", 600),
            Code::Unauthenticated,
            &[],
        ),
        ("junk", "junk".to_owned(), Code::Unauthenticated, &[]),
        ("cut off", agent[..agent.len() - 4].to_owned(), Code::Unauthenticated, &[]),
    ] {
        let calls = every_call(&channel, Some(&token)).await;
        println!("{what}");
        assert_refused(&calls, code, allowed);
        // Asked again, from what is remembered.
        assert_refused(&every_call(&channel, Some(&token)).await, code, allowed);
    }
    assert_refused(&every_call(&channel, None).await, Code::Unauthenticated, &[]);
    server.stop().await;
}

#[tokio::test]
async fn unix_sockets_are_locked_by_their_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gavel.sock");
    let server = Server::start_with(&[("flows.yaml", FLOWS)], |config| {
        mutual(&authority, config, &[]);
        config.listen.push(format!("unix:{}", path.display()).parse().unwrap());
        config.access.unix_socket_mode = Some("0600".parse().unwrap());
    })
    .await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let channel = tonic::transport::Endpoint::from_shared(format!("unix:{}", path.display()))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = PolicyDecisionClient::new(channel);
    client.check_flow(flow("friend", "web", 80)).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart() {
    let authority = Authority::new();
    let server = started(&authority, &["user:admin=*"]).await;
    let address = server.running.listening[0].clone();
    let admin = authority.user("admin");
    let open = authority.connect(&address, Some(&admin)).await.unwrap();
    // Another authority takes over: its certificate is served, and its clients are let in.
    let next = Authority::new();
    let Issued { certificate, key } = next.user("gavel-server");
    authority.file("tls.crt", &certificate);
    authority.file("tls.key", &key);
    authority.file("ca.crt", &next.pem());
    let admin_of_next = next.user("admin");
    let mut connected = None;
    for _ in 0..300 {
        if let Ok(channel) = next.connect(&address, Some(&admin_of_next)).await {
            connected = Some(channel);
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for channel in [connected.unwrap(), open] {
        let mut client = PolicyDecisionClient::new(channel);
        client.check_flow(flow("friend", "web", 80)).await.unwrap();
    }
    server.stop().await;
}
