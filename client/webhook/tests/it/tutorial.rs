//! The tutorial's pods, through both webhooks.

use base64::Engine as _;
use gavel_webhook::config::Messages;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use crate::support::{POLICIES, Server, Webhook, connect, nonroot, review, root};

#[tokio::test]
async fn both_pods_in_both_phases() {
    let server = Server::start(POLICIES).await;
    let webhook = Webhook::start(&[server.address()]).await;
    let ask = async |path: &str, spec: &Value| webhook.post(path, &review(spec).to_string()).await.response();

    for path in ["/mutate?timeout=10s", "/validate?timeout=10s"] {
        let response = ask(path, &nonroot()).await;
        assert_eq!(response["uid"], "0df28fbd-5f5f-11e8-bc74-36e6bb280816");
        assert_eq!(response["allowed"], true, "{response}");
        assert_eq!(response["auditAnnotations"]["revision"], "1");
    }
    let response = ask("/validate", &nonroot()).await;
    // No slash in the key: the API server would drop it.
    assert_eq!(response["auditAnnotations"]["validate-policy"], "nonroot-psp");
    assert_eq!(response.get("patch"), None);

    let mutated = ask("/mutate", &root()).await;
    assert_eq!((&mutated["allowed"], &mutated["patchType"]), (&json!(true), &json!("JSONPatch")));
    assert_eq!(mutated["auditAnnotations"]["admit-policy"], "nonroot-psp");
    let patch = base64::engine::general_purpose::STANDARD.decode(mutated["patch"].as_str().unwrap()).unwrap();
    let patch = String::from_utf8(patch).unwrap();
    assert!(patch.contains("runAsNonRoot") && patch.contains("kubernetes.io~1psp"), "{patch}");

    let refused = ask("/validate", &root()).await;
    let status = &refused["status"];
    assert_eq!(refused["allowed"], false);
    assert_eq!((&status["code"], &status["reason"]), (&json!(403), &json!("Forbidden")));
    assert_eq!(
        status["message"],
        "pods \"web-x\" is forbidden: PodSecurityPolicy: unable to validate pod: []; PodSecurityPolicy nonroot-psp: \
         spec.containers[0].securityContext.runAsNonRoot: Required value: must be true"
    );
    assert_eq!(
        webhook.metric("gavel_webhook_reviews_total{path=\"validate\",outcome=\"denied\"}").await,
        1.0
    );
    assert_eq!(
        webhook.metric("gavel_webhook_reviews_total{path=\"validate\",outcome=\"allowed\"}").await,
        2.0
    );
    assert_eq!(webhook.metric("gavel_webhook_reviews_total{path=\"mutate\",outcome=\"allowed\"}").await, 2.0);
    assert_eq!(webhook.metric("gavel_webhook_review_duration_seconds_count{path=\"validate\"}").await, 3.0);
    webhook.stop().await;
}

/// The binding as the original text has it: its service account does not exist, and the message says so.
#[tokio::test]
async fn the_original_binding() {
    let original = POLICIES
        .replace("  name: nonroot-sa\n  namespace: default", "  name: sa-nonroot\n  namespace: default");
    assert_ne!(original, POLICIES);
    let server = Server::start(&original).await;
    let explained = Webhook::start(&[server.address()]).await;
    let kubernetes =
        Webhook::start_with(&[server.address()], |config| config.messages = Messages::Kubernetes).await;
    for path in ["/mutate", "/validate"] {
        let verb = if path == "/mutate" { "admit" } else { "validate" };
        let words = format!("pods \"web-x\" is forbidden: PodSecurityPolicy: unable to {verb} pod: []");
        let response = explained.post(path, &review(&nonroot()).to_string()).await.response();
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("{words}; ")), "{message}");
        assert!(
            message.contains("\"nonroot-clusterrole-bindings\"")
                && message.contains("to ServiceAccount \"default/sa-nonroot\", which does not exist"),
            "{message}"
        );
        assert!(!message.contains('\n') && message.len() < 1024, "{message}");
        let response = kubernetes.post(path, &review(&nonroot()).to_string()).await.response();
        assert_eq!(response["status"]["message"], words);
        assert!(response["warnings"].to_string().contains("sa-nonroot"), "passed on besides: {response}");
    }
}

#[tokio::test]
async fn no_policies_and_other_requests() {
    let server = Server::start("").await;
    let webhook = Webhook::start(&[server.address()]).await;
    let response = webhook.post("/validate", &review(&nonroot()).to_string()).await.response();
    let message = response["status"]["message"].as_str().unwrap();
    assert!(
        message.contains("no providers available to validate pod request; there is no PodSecurityPolicy"),
        "{message}"
    );
    // What policies do not look at: not a pod, a subresource, a deletion without an object.
    let mut service = review(&json!({}));
    service["request"]["resource"]["resource"] = json!("services");
    let mut status = review(&json!({}));
    status["request"]["subResource"] = json!("status");
    let mut delete = review(&json!({}));
    delete["request"]["operation"] = json!("DELETE");
    delete["request"]["object"] = Value::Null;
    for review in [service, status, delete] {
        let response = webhook.post("/validate", &review.to_string()).await.response();
        assert_eq!(response["allowed"], true, "{review}");
    }
}

/// API servers speak HTTP/2: many reviews at once on one connection.
#[tokio::test]
async fn over_http2() {
    let server = Server::start(POLICIES).await;
    let webhook = Webhook::start(&[server.address()]).await;
    let authorities = std::fs::read(webhook.file("ca.crt")).unwrap();
    let stream = connect(webhook.running.listening, &authorities, &["h2"]).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut answers = tokio::task::JoinSet::new();
    for index in 0..50 {
        let mut sender = sender.clone();
        answers.spawn(async move {
            let spec = if index % 2 == 0 { nonroot() } else { root() };
            let request = hyper::Request::post("https://gavel/validate?timeout=10s")
                .header("content-type", "application/json")
                .body(review(&spec).to_string())
                .unwrap();
            let answer = sender.send_request(request).await.unwrap();
            let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
            let answer: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(answer["response"]["allowed"], index % 2 == 0, "{answer}");
        });
    }
    while let Some(answer) = answers.join_next().await {
        answer.unwrap();
    }
}
