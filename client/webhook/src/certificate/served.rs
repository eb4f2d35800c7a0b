//! The certificate that is served at the moment.

use std::sync::{Arc, PoisonError, RwLock};

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
