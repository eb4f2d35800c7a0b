//! Who may ask, how much at a time, and how long whoever says nothing is put up with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certified::Authority;
use crate::support::{POLICIES, Server, Webhook, connect, exchange, hanging, nonroot, review};

const POST: &str = "POST /validate?timeout=2s HTTP/1.1\r\nContent-Type: application/json\r\n";

async fn rejected(webhook: &Webhook, reason: &str) -> f64 {
    webhook.metric(&format!("gavel_webhook_connections_rejected_total{{reason=\"{reason}\"}}")).await
}

async fn plain(webhook: &Webhook) -> std::io::Result<TlsStream<TcpStream>> {
    let authorities = std::fs::read(webhook.file("ca.crt")).unwrap();
    connect(webhook.running.listening, &authorities, &[]).await
}

/// TLS to a webhook, with a certificate of one's own.
async fn certified(webhook: &Webhook, own: &Authority, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(&std::fs::read(webhook.file("ca.crt")).unwrap()) {
        roots.add(authority.unwrap()).unwrap();
    }
    let chain =
        CertificateDer::pem_slice_iter(&own.read(&format!("{name}.crt"))).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(&own.read(&format!("{name}.key"))).unwrap();
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
    let address = webhook.running.listening;
    let name = ServerName::IpAddress(address.ip().into());
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

/// What comes back; an error where TLS broke off.
async fn tried(stream: std::io::Result<TlsStream<TcpStream>>) -> std::io::Result<u16> {
    let mut stream = stream?;
    let body = review(&nonroot()).to_string();
    let length = body.len();
    let request = format!("{POST}Host: gavel\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    match stream.read_to_string(&mut text).await {
        Err(error) if text.is_empty() => Err(error),
        _ => Ok(text.split(' ').nth(1).unwrap().parse().unwrap()),
    }
}

#[tokio::test]
async fn only_with_a_certificate() {
    let server = Server::start(POLICIES).await;
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue("kube-apiserver");
    other.issue("kube-apiserver");
    let webhook = Webhook::start_with(&[server.address()], |config| {
        config.callers.client_ca = Some(authority.path("ca.crt"));
    })
    .await;
    assert_eq!(tried(certified(&webhook, &authority, "kube-apiserver").await).await.unwrap(), 200);
    let error = tried(plain(&webhook).await).await.unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    let error = tried(certified(&webhook, &other, "kube-apiserver").await).await.unwrap_err();
    assert!(error.to_string().contains("alert"), "{error}");
    assert_eq!(rejected(&webhook, "handshake_failed").await, 2.0);

    // The other authority takes its place.
    authority.write("ca.crt", &String::from_utf8(other.read("ca.crt")).unwrap());
    let deadline = Instant::now() + Duration::from_secs(20);
    while webhook.metric("gavel_webhook_tls_reloads_total").await < 1.0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(tried(certified(&webhook, &other, "kube-apiserver").await).await.unwrap(), 200);
    tried(certified(&webhook, &authority, "kube-apiserver").await).await.unwrap_err();
    webhook.stop().await;
}

#[tokio::test]
async fn authorities_that_cannot_be_used() {
    let authority = Authority::new();
    let [certificate, key] = authority.issue("webhook");
    for (text, part) in [("", "empty"), ("nonsense", "no certificate in it")] {
        let mut config =
            gavel_webhook::Config::local(vec!["127.0.0.1:1".to_owned()], certificate.clone(), key.clone());
        config.callers.client_ca = Some(authority.write("callers.crt", text));
        let error = format!("{:#}", gavel_webhook::start(config).await.unwrap_err());
        assert!(error.contains("--client-ca") && error.contains(part), "{error}");
    }
}

/// So many reviews at a time; the next one is told to come again.
#[tokio::test]
async fn in_flight() {
    let (_hanging, server) = hanging().await;
    let webhook = Webhook::start_with(&[server], |config| config.callers.max_in_flight = 2).await;
    let body = review(&nonroot()).to_string();
    let mut asking = Vec::new();
    for _ in 0..2 {
        let (stream, body) = (plain(&webhook).await.unwrap(), body.clone());
        asking.push(tokio::spawn(async move { exchange(stream, POST, &body).await }));
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while webhook.metric("gavel_webhook_reviews_in_flight").await < 2.0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let started = Instant::now();
    let answer = webhook.post("/validate", &body).await;
    assert!(started.elapsed() < Duration::from_secs(1), "at once");
    assert_eq!(answer.status, 429, "{answer:?}");
    assert!(answer.head.contains("retry-after: 1") && answer.body.contains("--max-in-flight"), "{answer:?}");
    let series = "gavel_webhook_reviews_total{path=\"validate\",outcome=\"overloaded\"}";
    assert_eq!(webhook.metric(series).await, 1.0);
    for asking in asking {
        assert_eq!(asking.await.unwrap().status, 200, "those in flight were answered, by a refusal");
    }
}

#[tokio::test]
async fn connections() {
    let server = Server::start(POLICIES).await;
    let webhook = Webhook::start_with(&[server.address()], |config| {
        config.callers.max_connections = 3;
        config.callers.max_connections_per_address = 2;
        config.callers.handshake_seconds = 1;
    })
    .await;
    let address = webhook.running.listening;
    // Two that say nothing: there is no place left for a third one of this address, until they are put out.
    let silent = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    plain(&webhook).await.unwrap_err();
    assert_eq!(rejected(&webhook, "address_limit").await, 1.0);
    for mut stream in silent {
        assert_eq!(stream.read(&mut [0]).await.unwrap_or_default(), 0, "closed");
    }
    assert_eq!(rejected(&webhook, "handshake_timeout").await, 2.0);
    assert_eq!(tried(plain(&webhook).await).await.unwrap(), 200);
}

/// Whoever sends nothing, or headers without an end, is put out; too many of them are refused.
#[tokio::test]
async fn slow_and_large_headers() {
    let server = Server::start(POLICIES).await;
    let webhook = Webhook::start_with(&[server.address()], |config| config.callers.idle_seconds = 1).await;
    for text in ["", "POST /validate HTTP/1.1\r\nContent-Type: application/json\r\nX-Slow: "] {
        let mut stream = plain(&webhook).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{text:?}: still connected");
        assert!(!String::from_utf8_lossy(&rest).contains("200"), "{text:?}");
    }
    let head = format!("{POST}X-Large: {}\r\n", "x".repeat(17 * 1024));
    let answer = exchange(plain(&webhook).await.unwrap(), &head, "").await;
    assert_eq!(answer.status, 431, "{answer:?}");
    // Also by HTTP/2, where nothing is said after the handshake.
    let authorities = std::fs::read(webhook.file("ca.crt")).unwrap();
    let mut stream = connect(webhook.running.listening, &authorities, &["h2"]).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "still connected");
    let deadline = Instant::now() + Duration::from_secs(20);
    while webhook.metric("gavel_webhook_connections").await > 0.0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A body that never ends is waited for as long as the API server waits, not longer.
#[tokio::test]
async fn slow_bodies() {
    let server = Server::start(POLICIES).await;
    let webhook = Webhook::start(&[server.address()]).await;
    let mut stream = plain(&webhook).await.unwrap();
    let head = "POST /validate?timeout=1s HTTP/1.1\r\nHost: gavel\r\nContent-Type: application/json\r\n\
                Content-Length: 1000\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut text)).await;
    assert!(reading.is_ok() && String::from_utf8_lossy(&text).contains("408"), "{text:?}");
}

/// Told to stop, it goes on for a while, without being ready; then connections are closed, idle ones, too.
#[tokio::test]
async fn leaving() {
    let server = Server::start(POLICIES).await;
    let webhook = Webhook::start_with(&[server.address()], |config| config.drain_delay_seconds = 2).await;
    webhook.until_ready(true).await;
    let (address, admin) = (webhook.running.listening, webhook.running.admin);
    let authorities = std::fs::read(webhook.file("ca.crt")).unwrap();
    let mut idle = connect(address, &authorities, &[]).await.unwrap();
    let stopping = tokio::spawn(webhook.stop());
    crate::support::until_ready(admin, false).await;
    let stream = connect(address, &authorities, &[]).await.unwrap();
    let answer = exchange(stream, POST, &review(&nonroot()).to_string()).await;
    assert_eq!(answer.response()["allowed"], true, "still answered");
    let started = Instant::now();
    let _ = idle.read_to_end(&mut Vec::new()).await;
    assert!(started.elapsed() < Duration::from_secs(10), "closed with the others, not at its own idle time");
    stopping.await.unwrap();
    TcpStream::connect(address).await.unwrap_err();
}
