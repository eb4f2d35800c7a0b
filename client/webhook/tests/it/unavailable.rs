//! Servers that do not answer, and what is answered then.

use std::time::{Duration, Instant};

use gavel_webhook::config::OnUnavailable;
use serde_json::json;

use crate::support::{POLICIES, Server, Webhook, hanging, nobody, nonroot, review};

#[tokio::test]
async fn deny() {
    let servers = [nobody().await, nobody().await];
    let webhook = Webhook::start(&servers).await;
    let response = webhook.post("/validate", &review(&nonroot()).to_string()).await.response();
    assert_eq!(response["allowed"], false);
    let status = &response["status"];
    assert_eq!((&status["code"], &status["reason"]), (&json!(503), &json!("ServiceUnavailable")));
    let message = status["message"].as_str().unwrap();
    for part in [&servers[0], &servers[1], "--on-unavailable deny", "no answer within ", "refused"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(response["auditAnnotations"]["unavailable"].as_str().unwrap().contains(&servers[0]));
    assert_eq!(webhook.metric("gavel_webhook_unavailable_total").await, 1.0);
    assert_eq!(
        webhook.metric("gavel_webhook_reviews_total{path=\"validate\",outcome=\"unavailable\"}").await,
        1.0
    );
    assert_eq!(webhook.metric("gavel_webhook_servers_known").await, 2.0);
    assert_eq!(webhook.metric("gavel_webhook_servers_good").await, 0.0);
    // Never reached one: not ready.
    let text = webhook.until_ready(false).await;
    assert!(text.contains("[-] 0 of 2 servers serve") && text.contains(&servers[1]), "{text}");
}

#[tokio::test]
async fn allow() {
    let server = nobody().await;
    let webhook = Webhook::start_with(std::slice::from_ref(&server), |config| {
        config.on_unavailable = OnUnavailable::Allow;
    })
    .await;
    let response = webhook.post("/validate", &review(&nonroot()).to_string()).await.response();
    assert_eq!((&response["allowed"], response.get("status")), (&json!(true), None));
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.contains("--on-unavailable allow") && warning.contains(&server), "{warning}");
    assert!(response["auditAnnotations"]["unavailable"].as_str().unwrap().contains(&server));
    assert_eq!(webhook.metric("gavel_webhook_unavailable_total").await, 1.0);
    webhook.until_ready(true).await;
}

/// The API server's time is kept to, also when servers say nothing.
#[tokio::test]
async fn deadlines() {
    let (_one, first) = hanging().await;
    let (_two, second) = hanging().await;
    let webhook = Webhook::start(&[first.clone(), second.clone()]).await;
    for (query, at_most) in [("?timeout=1s", 1_000), ("?timeout=500ms", 500)] {
        let started = Instant::now();
        let response =
            webhook.post(&format!("/validate{query}"), &review(&nonroot()).to_string()).await.response();
        let took = started.elapsed();
        assert!(
            took < Duration::from_millis(at_most) && took > Duration::from_millis(at_most / 2),
            "{took:?}"
        );
        assert_eq!(response["status"]["code"], 503, "{response}");
    }
}

/// One of two hangs: the other one answers in time.
#[tokio::test]
async fn one_hangs() {
    let (_one, hangs) = hanging().await;
    let server = Server::start(POLICIES).await;
    let webhook = Webhook::start(&[hangs, server.address()]).await;
    for _ in 0..4 {
        let response = webhook.post("/validate?timeout=2s", &review(&nonroot()).to_string()).await.response();
        assert_eq!(response["allowed"], true, "{response}");
    }
}

/// A server that ends is told in readiness, and does not take it away.
#[tokio::test]
async fn lost_after_it_was_reached() {
    let server = Server::start(POLICIES).await;
    let webhook = Webhook::start(&[server.address()]).await;
    let text = webhook.until_ready(true).await;
    assert!(text.contains("[+] certificate") && text.contains("[+] 1 of 1 servers serve"), "{text}");
    server.running.shutdown().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let text = webhook.until_ready(true).await;
        if text.contains("[-] 0 of 1 servers serve") {
            break;
        }
        assert!(Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let response = webhook.post("/mutate?timeout=1s", &review(&nonroot()).to_string()).await.response();
    assert_eq!(response["status"]["code"], 503, "{response}");
}

/// What is too large for the server is refused, also where what no server answers is let pass: otherwise whoever sends
/// objects could switch the policies off.
#[tokio::test]
async fn too_large_for_the_server() {
    let server = Server::start_with(POLICIES, |config| config.limits.max_request_bytes = 2048).await;
    let webhook = Webhook::start_with(&[server.address()], |config| {
        config.on_unavailable = OnUnavailable::Allow;
    })
    .await;
    let mut large = review(&nonroot());
    large["request"]["object"]["metadata"]["annotations"] = json!({"padding": "x".repeat(4096)});
    let response = webhook.post("/validate", &large.to_string()).await.response();
    assert_eq!(response["allowed"], false, "{response}");
    let status = &response["status"];
    assert_eq!(
        (&status["code"], &status["reason"]),
        (&json!(413), &json!("RequestEntityTooLarge")),
        "{status}"
    );
    assert_eq!(
        webhook.metric("gavel_webhook_reviews_total{path=\"validate\",outcome=\"failed\"}").await,
        1.0
    );
    assert_eq!(webhook.metric("gavel_webhook_unavailable_total").await, 0.0);
}
