//! The certificate that is served at the moment.

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::{Pair, Validity};

/// The certificate that is served; none at first. Whoever connects next gets the new one.
#[derive(Debug, Default)]
pub(crate) struct Served(RwLock<Option<(Arc<CertifiedKey>, Validity)>>);

impl Served {
    /// Serves this one from now on.
    ///
    /// # Errors
    /// When it cannot be used: what was served before stays.
    pub(super) fn serve(&self, pair: &Pair) -> anyhow::Result<Validity> {
        let (key, validity) = pair.certified_key()?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((Arc::new(key), validity));
        Ok(validity)
    }

    /// When it ends, in seconds since 1970; none while there is none.
    pub(crate) fn expires(&self) -> Option<i64> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(_, validity)| validity.to)
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(key, _)| key.clone())
    }
}

/// The settings of TLS: HTTP/2, or HTTP/1.1.
pub(crate) fn tls(served: Arc<Served>) -> anyhow::Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .context("TLS")?
        .with_no_client_auth()
        .with_cert_resolver(served);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
