//! Every call of the contract, over real sockets.

use gavel_proto::v1 as pb;
use gavel_proto::v1::policy_decision_client::PolicyDecisionClient;
use gavel_server::config::{Evaluator, Listen};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{ADMISSION, FLOWS, POD, Server, admission, flow};

#[tokio::test]
async fn flows_are_answered_with_their_reason() {
    let server = Server::start(&[("flows.yaml", FLOWS)]).await;
    let mut client = server.client().await;
    let allowed = client.check_flow(flow("friend", "web", 80)).await.unwrap().into_inner();
    assert_eq!(allowed.verdict(), pb::Verdict::Allow);
    let ingress = allowed.ingress.unwrap();
    assert!(ingress.isolated);
    assert_eq!(ingress.allowed_by.unwrap().policy.unwrap().name, "web");
    assert_eq!(allowed.egress.unwrap().reason(), pb::LegReason::NotIsolated);

    let denied = client
        .check_flow(pb::CheckFlowRequest { explain: true, ..flow("stranger", "web", 80) })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(denied.verdict(), pb::Verdict::Deny);
    assert_eq!(
        denied.reason,
        "denied: NetworkPolicy shop/web isolates the destination for ingress, and no rule allows this"
    );
    let rules = denied.ingress.unwrap().rules;
    assert_eq!(rules.len(), 1);
    assert!(!rules[0].peer_matched && rules[0].port_matched);

    let missing = client.check_flow(flow("nobody", "web", 80)).await.unwrap_err();
    assert_eq!(missing.code(), Code::InvalidArgument);
    assert_eq!(missing.get_details_bad_request().unwrap().field_violations[0].field, "source.pod");
    server.stop().await;
}

#[tokio::test]
async fn admissions_are_answered_with_patch_or_violations() {
    let server = Server::start(&[("psp.yaml", ADMISSION)]).await;
    let mut client = server.client().await;
    let admitted = client.admit(admission(POD)).await.unwrap().into_inner();
    assert!(admitted.allowed, "{admitted:?}");
    assert_eq!(admitted.uid, "u1");
    assert_eq!(admitted.policy, "nonroot");
    let patch = String::from_utf8(admitted.patch).unwrap();
    assert!(patch.contains("runAsNonRoot") && patch.contains("kubernetes.io~1psp"), "{patch}");

    let refused = client
        .admit(pb::AdmitRequest { phase: pb::Phase::Validate.into(), explain: true, ..admission(POD) })
        .await
        .unwrap()
        .into_inner();
    assert!(!refused.allowed);
    assert_eq!(refused.code, 403);

    let root = POD.replace(r#""image":"i""#, r#""image":"i","securityContext":{"runAsUser":0}"#);
    let refused = client.admit(admission(&root)).await.unwrap().into_inner();
    assert_eq!(refused.reason(), pb::AdmitReason::Violations);
    assert_eq!(
        refused.message,
        "pods \"web-\" is forbidden: PodSecurityPolicy: unable to admit pod: \
         [spec.containers[0].securityContext.runAsUser: Invalid value: 0: running with the root UID is forbidden]"
    );
    assert_eq!(refused.violations[0].policy, "nonroot");
    server.stop().await;
}

#[tokio::test]
async fn bad_objects_are_refused_with_the_field() {
    let server = Server::start(&[("psp.yaml", ADMISSION)]).await;
    let mut client = server.client().await;
    let no_containers = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{}}"#;
    let wrong_type = POD.replace(r#""image":"i""#, r#""image":"i","securityContext":{"runAsUser":"root"}"#);
    let cases = [
        ("{", "object"),
        ("", "object"),
        (no_containers, "object.spec.containers"),
        (wrong_type.as_str(), "object.spec.containers[0].securityContext.runAsUser"),
    ];
    for (object, field) in cases {
        let status = client.admit(admission(object)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{object}");
        assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, field, "{object}");
    }
    // The server is none the worse for it.
    assert!(client.admit(admission(POD)).await.unwrap().into_inner().allowed);
    server.stop().await;
}

#[tokio::test]
async fn authorize_and_snapshot() {
    let server = Server::start(&[("psp.yaml", ADMISSION), ("flows.yaml", FLOWS)]).await;
    let mut client = server.client().await;
    let answer = client
        .authorize(pb::AuthorizeRequest {
            user: "system:serviceaccount:shop:builder".into(),
            resource_attributes: Some(pb::ResourceAttributes {
                namespace: "shop".into(),
                verb: "use".into(),
                group: "policy".into(),
                resource: "podsecuritypolicies".into(),
                name: "nonroot".into(),
                ..Default::default()
            }),
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        answer.reason,
        "RBAC: allowed by ClusterRoleBinding \"use-nonroot\" of ClusterRole \"use-nonroot\" \
         to ServiceAccount \"builder/shop\""
    );
    let snapshot = client.get_snapshot(pb::GetSnapshotRequest::default()).await.unwrap().into_inner();
    assert_eq!(snapshot.revision, 1);
    assert_eq!(snapshot.objects["Pod"], 3);
    assert_eq!(snapshot.objects["PodSecurityPolicy"], 1);
    assert_eq!(snapshot.sources[0].state(), pb::SourceState::Synced);
    assert!(snapshot.created_at.is_some() && snapshot.age.is_some());
    server.stop().await;
}

#[tokio::test]
async fn a_request_larger_than_the_limit_is_refused() {
    let server =
        Server::start_with(&[("psp.yaml", ADMISSION)], |config| config.limits.max_request_bytes = 1000).await;
    let mut client = server.client().await;
    let status = client.admit(admission(&" ".repeat(2000))).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(status.message().contains("1000"), "{status:?}");
    assert!(client.admit(admission(POD)).await.unwrap().into_inner().allowed);
    server.stop().await;
}

#[tokio::test]
async fn without_an_evaluator_everything_is_admitted() {
    let none = |config: &mut gavel_server::Config| config.evaluators = vec![Evaluator::None];
    let server = Server::start_with(&[("flows.yaml", FLOWS)], none).await;
    let answer = server.client().await.admit(admission(POD)).await.unwrap().into_inner();
    assert!(answer.allowed);
    assert_eq!(answer.reason(), pb::AdmitReason::NotApplicable);
    server.stop().await;
    // With the evaluator and without a policy, nothing is: as in Kubernetes.
    let server = Server::start(&[("flows.yaml", FLOWS)]).await;
    let answer = server.client().await.admit(admission(POD)).await.unwrap().into_inner();
    assert_eq!(answer.reason(), pb::AdmitReason::NoPolicies);
    assert_eq!(
        answer.message,
        "pods \"web-\" is forbidden: PodSecurityPolicy: no providers available to validate pod request"
    );
    server.stop().await;
}

#[tokio::test]
async fn health_and_reflection() {
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let server = Server::start(&[("flows.yaml", FLOWS)]).await;
    let url = format!("http://{}", server.running.listening[0]);
    let channel = tonic::transport::Endpoint::from_shared(url).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "gavel.v1.PolicyDecision"] {
        let answer = health.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let mut reflection = ServerReflectionClient::new(channel);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers =
        reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services");
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(
        names.contains(&"gavel.v1.PolicyDecision") && names.contains(&"grpc.health.v1.Health"),
        "{names:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_unix_socket_is_served_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gavel.sock");
    // The socket of a server that died is in the way of nobody.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listen = Listen::Unix(path.clone());
    let server =
        Server::start_with(&[("flows.yaml", FLOWS)], |config| config.listen = vec![listen.clone()]).await;
    let socket = path.clone();
    let channel = tonic::transport::Endpoint::from_static("http://gavel")
        .connect_with_connector(tower::service_fn(move |_| {
            let socket = socket.clone();
            async move {
                Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(
                    tokio::net::UnixStream::connect(socket).await?,
                ))
            }
        }))
        .await
        .unwrap();
    let answer = PolicyDecisionClient::new(channel).check_flow(flow("friend", "web", 80)).await.unwrap();
    assert_eq!(answer.into_inner().verdict(), pb::Verdict::Allow);

    let mut second = gavel_server::Config::local(vec![folder.path().to_owned()]);
    second.listen = vec![listen];
    let refused = gavel_server::start(second).await.unwrap_err();
    assert!(format!("{refused:#}").contains("another server is listening there"), "{refused:#}");
    server.stop().await;
    assert!(!path.exists());
}
