//! A webhook, the server behind it, and an API server's side of HTTPS.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gavel_telemetry::Tracing;
use gavel_webhook::config::{Config, Issue, IssueCertificate};
use gavel_webhook::{Running, certificate};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The tutorial, as it is shipped with the command line's demo.
pub(crate) const POLICIES: &str = include_str!("../../../cli/demo/pod-security/policies.yaml");

/// A server on one file of manifests.
pub(crate) struct Server {
    pub(crate) running: gavel_server::Running,
    _folder: TempDir,
}

impl Server {
    pub(crate) async fn start(manifests: &str) -> Self {
        Self::start_with(manifests, |_| {}).await
    }

    pub(crate) async fn start_with(manifests: &str, change: impl FnOnce(&mut gavel_server::Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("manifests.yaml"), manifests).unwrap();
        let mut config = gavel_server::Config::local(vec![folder.path().to_owned()]);
        change(&mut config);
        let mut running = gavel_server::start(config).await.unwrap();
        tokio::time::timeout(Duration::from_secs(30), running.ready()).await.unwrap().unwrap();
        Self { running, _folder: folder }
    }

    pub(crate) fn address(&self) -> String {
        self.running.listening[0].clone()
    }
}

/// Somebody who takes connections and says nothing.
pub(crate) async fn hanging() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> String {
    hanging().await.1
}

/// A running webhook and the folder of its certificate.
pub(crate) struct Webhook {
    pub(crate) running: Running,
    folder: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The response of an AdmissionReview.
    pub(crate) fn response(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        let review: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(review["kind"], "AdmissionReview");
        review["response"].clone()
    }
}

impl Webhook {
    pub(crate) async fn start(servers: &[String]) -> Self {
        Self::start_with(servers, |_| {}).await
    }

    pub(crate) async fn start_with(servers: &[String], change: impl FnOnce(&mut Config)) -> Self {
        Self::start_as(servers, change, Tracing::off()).await
    }

    pub(crate) async fn start_traced(servers: &[String], tracing: Tracing) -> Self {
        Self::start_as(servers, |_| {}, tracing).await
    }

    async fn start_as(servers: &[String], change: impl FnOnce(&mut Config), tracing: Tracing) -> Self {
        let folder = tempfile::tempdir().unwrap();
        issue(folder.path(), "127.0.0.1").await;
        let path = |name: &str| folder.path().join(name);
        let mut config = Config::local(servers.to_vec(), path("tls.crt"), path("tls.key"));
        change(&mut config);
        let running = gavel_webhook::start_traced(config, tracing).await.unwrap();
        Self { running, folder }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        let head = format!("POST {path} HTTP/1.1\r\nContent-Type: application/json\r\n");
        self.ask(&head, body).await
    }

    pub(crate) async fn ask(&self, head: &str, body: &str) -> Answer {
        let authorities = std::fs::read(self.file("ca.crt")).unwrap();
        let stream = connect(self.running.listening, &authorities, &[]).await.unwrap();
        exchange(stream, head, body).await
    }

    /// Waits until readiness is as wanted, and gives its text.
    pub(crate) async fn until_ready(&self, wanted: bool) -> String {
        until_ready(self.running.admin, wanted).await
    }

    /// The value of one series of the metrics.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let text = get(self.running.admin, "/metrics").await.body;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{series} ")));
        line.unwrap_or_else(|| panic!("{series} is not in\n{text}")).parse().unwrap()
    }

    pub(crate) async fn stop(self) {
        self.running.shutdown().await.unwrap();
    }
}

pub(crate) async fn until_ready(admin: SocketAddr, wanted: bool) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = get(admin, "/readyz").await;
        if (answer.status == 200) == wanted {
            return answer.body;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Issues a certificate into a folder.
pub(crate) async fn issue(folder: &Path, name: &str) -> String {
    let issue = Issue { dns_name: vec![name.to_owned()], days: 30, ..Issue::default() };
    let arguments = IssueCertificate { secret: None, out: Some(folder.to_owned()), issue };
    certificate::command(&arguments).await.unwrap()
}

/// TLS to a webhook, by a client that trusts these authorities.
pub(crate) async fn connect(
    address: SocketAddr,
    authorities: &[u8],
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities) {
        roots.add(authority.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = ServerName::IpAddress(address.ip().into());
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

/// One request and its answer over HTTP/1.1. The head comes without the lines that every request has.
pub(crate) async fn exchange(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    head: &str,
    body: &str,
) -> Answer {
    let length = body.len();
    let request = format!("{head}Host: gavel\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // Whoever ends a connection without a farewell has sent its answer before.
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// A GET of the operator's side.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    exchange(stream, &format!("GET {path} HTTP/1.1\r\n"), "").await
}

/// A review of a pod as the ReplicaSet controller creates it.
pub(crate) fn review(spec: &Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "0df28fbd-5f5f-11e8-bc74-36e6bb280816", "operation": "CREATE", "namespace": "default", "name": "web-x",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"]},
        "object": {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web-x", "generateName": "web-", "namespace": "default"}, "spec": spec},
        "oldObject": null, "dryRun": false, "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}}})
}

/// The tutorial's pod that says whom it runs as.
pub(crate) fn nonroot() -> Value {
    json!({"serviceAccountName": "nonroot-sa", "securityContext": {"runAsUser": 1001, "fsGroup": 2001},
        "containers": [{"name": "nonroot", "image": "gcr.io/terrycho-sandbox/security-context:v1"}]})
}

/// The tutorial's pod that does not.
pub(crate) fn root() -> Value {
    json!({"serviceAccountName": "nonroot-sa",
        "containers": [{"name": "root", "image": "gcr.io/terrycho-sandbox/nonroot-containe:v1"}]})
}
