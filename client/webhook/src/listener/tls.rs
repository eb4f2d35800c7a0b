//! TLS of the listener: the certificate that is served at the moment, and the authorities that callers' must be of.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use gavel_tls::Followed;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificate::Served;
use crate::metrics::Metrics;

/// A connection, once TLS is spoken.
pub(super) type Stream = TlsStream<TcpStream>;

/// TLS of the listener.
#[derive(Clone, Debug)]
pub(crate) enum Tls {
    /// Whoever can reach it may ask.
    Anybody(Arc<ServerConfig>),
    /// Only who has a certificate of these authorities, which are followed as they change.
    Certified(Followed<ServerConfig>),
}

impl Tls {
    /// Serves this certificate, and takes whoever has one of `client_ca`, if that is given.
    ///
    /// # Errors
    /// When the authorities cannot be used.
    pub(crate) async fn new(
        served: Arc<Served>,
        client_ca: Option<&Path>,
        interval: Duration,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let Some(path) = client_ca else {
            return Ok(Tls::Anybody(Arc::new(config(served, None).map_err(anyhow::Error::msg)?)));
        };
        let certified = move |pem: &str| {
            let roots = roots(pem)?;
            config(served.clone(), Some(roots))
        };
        let events = move |event: gavel_tls::Event| {
            event.log("--client-ca");
            match event {
                gavel_tls::Event::Reloaded => metrics.reloaded(true),
                gavel_tls::Event::Failed(_) => metrics.reloaded(false),
                gavel_tls::Event::Warning(_) => {}
            }
        };
        let followed = gavel_tls::parsed(path, certified, interval, events).await.context("--client-ca")?;
        Ok(Tls::Certified(followed))
    }

    /// Looks whether authorities of callers can be used.
    pub(crate) fn check(client_ca: &Path) -> Result<(), gavel_tls::Error> {
        gavel_tls::load_parsed(client_ca, |pem| roots(pem).map(drop))
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(match self {
            Tls::Anybody(config) => config.clone(),
            Tls::Certified(followed) => followed.current(),
        })
    }
}

fn roots(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let authority = authority.map_err(|error| format!("is not PEM: {error}"))?;
        roots.add(authority).map_err(|error| format!("a certificate in it cannot be read: {error}"))?;
    }
    if roots.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(roots) }
}

/// HTTP/2, or HTTP/1.1.
fn config(served: Arc<Served>, clients: Option<RootCertStore>) -> Result<ServerConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| error.to_string())?)
        }
    };
    let mut config = builder.with_cert_resolver(served);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
