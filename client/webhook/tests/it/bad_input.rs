//! What is no review that can be answered: how it is told, and that it is counted.

use serde_json::json;

use crate::support::{POLICIES, Server, Webhook, nonroot, review};

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn requests() {
    let server = Server::start(POLICIES).await;
    let webhook =
        Webhook::start_with(&[server.address()], |config| config.max_request_bytes = 16 * 1024).await;
    let good = review(&nonroot()).to_string();
    let with = |field: &str, value: serde_json::Value| {
        let mut review = review(&nonroot());
        review[field] = value;
        review.to_string()
    };
    let without_user = {
        let mut review = review(&nonroot());
        review["request"].as_object_mut().unwrap().remove("userInfo");
        review.to_string()
    };
    // Request line and headers; body; status; what the answer says; the outcome that is counted.
    let post = format!("POST /validate HTTP/1.1\r\n{JSON}");
    let cases = [
        ("GET /validate HTTP/1.1\r\n".to_owned(), String::new(), 405, "by POST", "wrong_method"),
        (format!("PUT /validate HTTP/1.1\r\n{JSON}"), good.clone(), 405, "by POST", "wrong_method"),
        (
            "POST /validate HTTP/1.1\r\n".to_owned(),
            good.clone(),
            400,
            "must be application/json",
            "bad_request",
        ),
        (
            "POST /validate HTTP/1.1\r\nContent-Type: application/vnd.kubernetes.protobuf\r\n".to_owned(),
            good.clone(),
            400,
            "must be application/json",
            "bad_request",
        ),
        (format!("{post}Content-Encoding: gzip\r\n"), good.clone(), 400, "Content-Encoding", "bad_request"),
        (format!("POST /validate?timeout=soon HTTP/1.1\r\n{JSON}"), good.clone(), 400, "10s", "bad_request"),
        (post.clone(), String::new(), 400, "is not JSON", "bad_request"),
        (post.clone(), "{".to_owned(), 400, "is not JSON", "bad_request"),
        (post.clone(), format!("{good}{good}"), 400, "is not JSON", "bad_request"),
        (post.clone(), "[]".to_owned(), 400, "a JSON object", "bad_request"),
        (
            post.clone(),
            with("apiVersion", json!("admission.k8s.io/v1beta1")),
            400,
            "apiVersion: must be admission.k8s.io/v1; say admissionReviewVersions: [v1]",
            "bad_request",
        ),
        (post.clone(), with("kind", json!("Pod")), 400, "kind: must be AdmissionReview", "bad_request"),
        (post.clone(), with("request", json!(null)), 400, "request: must be set", "bad_request"),
        (post.clone(), without_user, 400, "request.userInfo: must be set", "bad_request"),
        (post.clone(), with("padding", json!("x".repeat(20_000))), 413, "--max-request-bytes", "too_large"),
    ];
    for (head, body, status, part, outcome) in cases {
        let series = format!("gavel_webhook_reviews_total{{path=\"validate\",outcome=\"{outcome}\"}}");
        let before = webhook.metric(&series).await;
        let answer = webhook.ask(&head, &body).await;
        assert_eq!(answer.status, status, "{head}: {answer:?}");
        assert!(answer.body.contains(part), "{head}: {answer:?}");
        assert!(answer.body.lines().count() == 1, "{answer:?}");
        assert_eq!(webhook.metric(&series).await, before + 1.0, "{head}");
    }
    let not_post = webhook.ask("GET /mutate HTTP/1.1\r\n", "").await;
    assert!(not_post.head.contains("allow: post"), "{not_post:?}");
    assert_eq!(webhook.ask(&format!("POST /other HTTP/1.1\r\n{JSON}"), &good).await.status, 404);
    // A charset, other fields, and white space around do no harm.
    let head = "POST /validate HTTP/1.1\r\nContent-Type: Application/JSON; charset=utf-8\r\n";
    assert!(webhook.ask(head, &format!("\n  {good}\n")).await.response()["allowed"].as_bool().unwrap());
}

/// The review can be read, and the object in it cannot: its sender is told, in a review.
#[tokio::test]
async fn objects() {
    let server = Server::start(POLICIES).await;
    let webhook = Webhook::start(&[server.address()]).await;
    let cases = [
        (json!({"containers": []}), "request.object.spec.containers: "),
        (
            json!({"containers": [{"name": "c", "securityContext": {"runAsUser": "0"}}]}),
            "request.object.spec.containers[0].securityContext.runAsUser: ",
        ),
    ];
    for (spec, field) in cases {
        for path in ["/mutate", "/validate"] {
            let response = webhook.post(path, &review(&spec).to_string()).await.response();
            assert_eq!(response["allowed"], false);
            let status = &response["status"];
            assert_eq!((&status["code"], &status["reason"]), (&json!(400), &json!("BadRequest")));
            assert!(status["message"].as_str().unwrap().starts_with(field), "{status}");
        }
    }
    let mut absent = review(&nonroot());
    absent["request"].as_object_mut().unwrap().remove("object");
    let response = webhook.post("/mutate", &absent.to_string()).await.response();
    assert!(response["status"]["message"].as_str().unwrap().starts_with("request.object: "), "{response}");
    let counted = "gavel_webhook_reviews_total{path=\"mutate\",outcome=\"invalid_object\"}";
    assert_eq!(webhook.metric(counted).await, 3.0);
}
