//! Servers that are asked over TLS, and want to know who asks.

use std::time::{Duration, Instant};

use gavel_server::config::DecisionLogMode;
use gavel_webhook::config::OnUnavailable;

use crate::certified::Authority;
use crate::support::{POLICIES, Server, Webhook, nonroot, review};

/// A server that lets `webhook` ask, whoever is called so by the authority.
async fn server(authority: &Authority) -> Server {
    let [certificate, key] = authority.issue("server");
    Server::start_with(POLICIES, |config| {
        config.access.tls_cert = Some(certificate);
        config.access.tls_key = Some(key);
        config.access.tls_client_ca = Some(authority.path("ca.crt"));
        config.access.grant = vec!["user:webhook=Admit".parse().unwrap()];
        config.telemetry.decision_log = DecisionLogMode::All;
        let file = authority.path("decisions.jsonl");
        config.telemetry.decision_log_to = file.to_str().unwrap().parse().unwrap();
    })
    .await
}

async fn webhook(server: &Server, authority: &Authority, who: Option<&str>) -> Webhook {
    Webhook::start_with(&[server.address()], |config| {
        config.access.server_ca = Some(authority.path("ca.crt"));
        if let Some(who) = who {
            let [certificate, key] = authority.issue(who);
            config.access.client_cert = Some(certificate);
            config.access.client_key = Some(key);
        }
        config.on_unavailable = OnUnavailable::Deny;
    })
    .await
}

#[tokio::test]
async fn with_a_certificate() {
    let authority = Authority::new();
    let server = server(&authority).await;
    let webhook = webhook(&server, &authority, Some("webhook")).await;
    let text = webhook.until_ready(true).await;
    assert!(text.contains("[+] servers are asked over TLS, with a certificate"), "{text}");
    let response = webhook.post("/validate", &review(&nonroot()).to_string()).await.response();
    assert_eq!(response["allowed"], true);
    let id = response["auditAnnotations"]["decision-id"].as_str().unwrap().to_owned();
    assert!(!id.is_empty());
    assert!(webhook.metric("gavel_webhook_client_certificate_expiry_timestamp_seconds").await > 1.7e9);
    assert_eq!(webhook.metric("gavel_webhook_credentials_refused").await, 0.0);
    // The same id leads to the server's decision log.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !std::fs::read_to_string(authority.path("decisions.jsonl")).is_ok_and(|log| log.contains(&id)) {
        assert!(Instant::now() < deadline, "{id} is not in the decision log");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    webhook.stop().await;
}

/// Nobody, and somebody who may not ask: never ready, every review refused, and told why.
#[tokio::test]
async fn not_let_in() {
    let authority = Authority::new();
    let server = server(&authority).await;
    for (who, part) in [(None, "Unauthenticated"), (Some("somebody"), "PermissionDenied")] {
        let webhook = webhook(&server, &authority, who).await;
        let response = webhook.post("/validate", &review(&nonroot()).to_string()).await.response();
        assert_eq!(
            (response["allowed"].as_bool(), response["status"]["code"].as_i64()),
            (Some(false), Some(500))
        );
        let deadline = Instant::now() + Duration::from_secs(20);
        let text = loop {
            let text = webhook.until_ready(false).await;
            if text.contains("[+] 1 of 1 servers serve") {
                break text;
            }
            assert!(Instant::now() < deadline, "{text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert!(text.contains("[-] something is wrong") && text.contains(part), "{text}");
        assert_eq!(webhook.metric("gavel_webhook_credentials_refused").await, 1.0);
        webhook.stop().await;
    }
}

/// A certificate that is issued for the right name later is taken without a restart.
#[tokio::test]
async fn let_in_later() {
    let authority = Authority::new();
    let server = server(&authority).await;
    let webhook = webhook(&server, &authority, Some("somebody")).await;
    let [certificate, key] = authority.issue("webhook");
    let text = |path| std::fs::read_to_string(path).unwrap();
    authority.write("somebody.crt", &text(certificate));
    authority.write("somebody.key", &text(key));
    webhook.until_ready(true).await;
    let response = webhook.post("/validate", &review(&nonroot()).to_string()).await.response();
    assert_eq!(response["allowed"], true);
    assert!(webhook.metric("gavel_webhook_credential_reloads_total").await >= 1.0);
}

#[tokio::test]
async fn settings_that_do_not_go_together() {
    let authority = Authority::new();
    let [certificate, key] = authority.issue("webhook");
    for (server, part) in
        [("https://gavel.test:1", "--server-ca FILE"), ("gavel.test:1", "others could read the token")]
    {
        let mut config =
            gavel_webhook::Config::local(vec![server.to_owned()], certificate.clone(), key.clone());
        config.access.token_file = Some(authority.write("token", "abc"));
        let error = format!("{:#}", gavel_webhook::start(config).await.unwrap_err());
        assert!(error.contains(part) && error.contains("--server"), "{error}");
    }
}

/// Under a stream of reviews the servers' connections come of age again and again: every review is decided.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_come_of_age() {
    let authority = Authority::new();
    let aging = async || {
        let [certificate, key] = authority.issue("server");
        Server::start_with(POLICIES, |config| {
            config.access.tls_cert = Some(certificate);
            config.access.tls_key = Some(key);
            config.access.tls_client_ca = Some(authority.path("ca.crt"));
            config.access.grant = vec!["user:webhook=Admit".parse().unwrap()];
            config.life.max_connection_age_seconds = 1;
        })
        .await
    };
    let (one, two) = (aging().await, aging().await);
    let webhook = Webhook::start_with(&[one.address(), two.address()], |config| {
        let [certificate, key] = authority.issue("webhook");
        config.access.server_ca = Some(authority.path("ca.crt"));
        config.access.client_cert = Some(certificate);
        config.access.client_key = Some(key);
    })
    .await;
    webhook.until_ready(true).await;
    let webhook = std::sync::Arc::new(webhook);
    let until = Instant::now() + Duration::from_secs(5);
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let webhook = webhook.clone();
            tokio::spawn(async move {
                let body = review(&nonroot()).to_string();
                let mut reviews = 0;
                while Instant::now() < until {
                    let response = webhook.post("/validate", &body).await.response();
                    assert_eq!(response["allowed"], true, "{response}");
                    reviews += 1;
                }
                reviews
            })
        })
        .collect();
    let mut reviews = 0;
    for caller in callers {
        reviews += caller.await.unwrap();
    }
    let retries = webhook.metric("gavel_webhook_retries_total").await;
    println!("{reviews} reviews, {retries} asked again");
    assert!(reviews > 100, "{reviews}");
}
