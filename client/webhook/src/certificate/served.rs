//! The certificate that is served at the moment.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificate that is served, and when it ends; none at first. Whoever connects next gets the new one.
#[derive(Debug, Default)]
pub(crate) struct Served(RwLock<Option<(Arc<CertifiedKey>, i64)>>);

impl Served {
    /// Serves this one from now on, which ends at that time, in seconds since 1970.
    pub(super) fn serve(&self, key: Arc<CertifiedKey>, expires: i64) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((key, expires));
    }

    /// When it ends, in seconds since 1970; none while there is none.
    pub(crate) fn expires(&self) -> Option<i64> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(_, expires)| *expires)
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(key, _)| key.clone())
    }
}
