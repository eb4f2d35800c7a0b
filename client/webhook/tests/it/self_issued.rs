//! Certificates that are issued here, kept in a Secret, and trusted by the API server.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gavel_webhook::config::{Config, Issue, IssueCertificate, OnUnavailable, SecretName};
use gavel_webhook::{Running, certificate};
use serde_json::{Value, json};

use crate::api_server::{ApiServer, configuration, kubeconfig};
use crate::support::{connect, get, nobody, until_ready};

const SECRET: &str = "/api/v1/namespaces/gavel-system/secrets/tls";

fn name() -> SecretName {
    "gavel-system/tls".parse().unwrap()
}

fn order(kubeconfig: PathBuf) -> Issue {
    Issue {
        dns_name: vec!["127.0.0.1".to_owned()],
        webhook_configuration: vec!["gavel".to_owned()],
        days: 30,
        kubeconfig: Some(kubeconfig),
        context: None,
    }
}

async fn start(kubeconfig: PathBuf) -> Running {
    let mut config = Config::local(vec![nobody().await], PathBuf::new(), PathBuf::new());
    (config.tls_cert, config.tls_key) = (None, None);
    config.self_issued = Some(name());
    config.issue = order(kubeconfig);
    config.on_unavailable = OnUnavailable::Allow;
    gavel_webhook::start(config).await.unwrap()
}

/// The authorities that the API server would trust in a webhook.
fn trusted(api: &ApiServer, kind: &str, webhook: usize) -> Vec<u8> {
    let configuration = api.get(&configuration(kind));
    let bundle = &configuration["webhooks"][webhook]["clientConfig"]["caBundle"];
    BASE64.decode(bundle.as_str().unwrap_or_default()).unwrap()
}

/// Replicas that start at once share one certificate, which every webhook of the configurations trusts.
#[tokio::test]
async fn replicas_share_one() {
    let api = ApiServer::start().await;
    api.configure("mutating", &["one", "two"]);
    api.configure("validating", &["three"]);
    let replicas = futures(&[api.kubeconfig(), api.kubeconfig(), api.kubeconfig(), api.kubeconfig()]).await;
    for replica in &replicas {
        until_ready(replica.admin, true).await;
    }
    for (kind, webhook) in [("mutating", 0), ("mutating", 1), ("validating", 0)] {
        let bundle = trusted(&api, kind, webhook);
        assert!(!bundle.is_empty());
        for replica in &replicas {
            connect(replica.listening, &bundle, &[]).await.unwrap();
        }
        let configuration = api.get(&configuration(kind));
        let client = &configuration["webhooks"][webhook]["clientConfig"];
        assert_eq!(client["url"], "https://127.0.0.1:1/validate", "the rest of it stays");
    }
    let secret = api.get(SECRET);
    assert_eq!(secret["type"], "kubernetes.io/tls");
    assert_eq!(secret["metadata"]["labels"]["app.kubernetes.io/managed-by"], "gavel-webhook");
    assert_eq!(api.writes(), 3, "the Secret, and each configuration, once");
    for replica in replicas {
        replica.shutdown().await.unwrap();
    }
}

async fn futures(kubeconfigs: &[PathBuf]) -> Vec<Running> {
    let mut starting = tokio::task::JoinSet::new();
    for kubeconfig in kubeconfigs {
        starting.spawn(start(kubeconfig.clone()));
    }
    starting.join_all().await
}

/// Without an API server there is no certificate: readiness says so, connections are refused, and it is tried again.
#[tokio::test]
async fn the_api_server_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let address = nobody().await.parse().unwrap();
    let path = folder.path().join("kubeconfig");
    std::fs::write(&path, kubeconfig(address)).unwrap();
    let replica = start(path).await;
    let text = until_ready(replica.admin, false).await;
    assert!(text.contains("[-] no certificate yet"), "{text}");
    connect(replica.listening, &[], &[]).await.unwrap_err();
    let metrics = get(replica.admin, "/metrics").await.body;
    assert!(metrics.contains("gavel_webhook_tls_certificate_expiry_timestamp_seconds 0\n"), "{metrics}");
    let api = ApiServer::start_at(address).await;
    api.configure("validating", &["one"]);
    until_ready(replica.admin, true).await;
    connect(replica.listening, &trusted(&api, "validating", 0), &[]).await.unwrap();
    replica.shutdown().await.unwrap();
}

#[tokio::test]
async fn by_command() {
    let api = ApiServer::start().await;
    let command = async |webhook_configuration: &str| {
        let webhook_configuration = vec![webhook_configuration.to_owned()];
        let issue = Issue { webhook_configuration, ..order(api.kubeconfig()) };
        certificate::command(&IssueCertificate { secret: Some(name()), out: None, issue }).await
    };
    let error = format!("{:#}", command("gavel").await.unwrap_err());
    assert!(error.contains("--webhook-configuration gavel: there is neither"), "{error}");

    api.configure("validating", &["one", "two"]);
    let told = command("gavel").await.unwrap();
    assert!(told.contains("is good, and stays"), "issued by the command that failed afterwards: {told}");
    assert!(told.contains("gavel: caBundle of 2 webhooks set"), "{told}");
    assert!(command("gavel").await.unwrap().contains("caBundle of 0 webhooks set"));

    // A renewal: old and new are trusted.
    let old = trusted(&api, "validating", 0);
    let mut secret = api.get(SECRET);
    secret["data"]["tls.key"] = json!(BASE64.encode("nonsense"));
    api.put(SECRET, secret);
    assert!(command("gavel").await.unwrap().contains("issued a certificate for 127.0.0.1"));
    let new = trusted(&api, "validating", 1);
    assert!(new.ends_with(&old) && new.len() > old.len());

    // Empty, as an installation makes it that lets nobody create Secrets; and somebody else's.
    let foreign = |key: &str, crt: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "tls", "namespace": "gavel-system"}, "data": {"tls.crt": crt, "tls.key": key}})
    };
    api.put(SECRET, foreign("", ""));
    assert!(command("gavel").await.unwrap().contains("(there was none)"));
    api.put(SECRET, foreign("eA==", "eA=="));
    let error = format!("{:#}", command("gavel").await.unwrap_err());
    assert!(error.contains("that gavel-webhook did not issue"), "{error}");
    assert_eq!(api.get(SECRET)["data"]["tls.key"], Value::from("eA=="), "left alone");
}
