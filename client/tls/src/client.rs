//! TLS of a client.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ClientConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::files::Content;
use crate::pem::{self, Purpose, Validity};
use crate::{Error, follow, provider};

/// Files of a client, all PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// The authorities of the servers; there may be several. No other authority is trusted, not even the system's.
    pub ca: PathBuf,
    /// A certificate of one's own, followed by its intermediates, and its private key.
    pub cert_and_key: Option<(PathBuf, PathBuf)>,
}

/// TLS of a client.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// For a connector.
    pub config: Arc<ClientConfig>,
    /// Until when one's own certificate is good.
    pub not_after: Option<SystemTime>,
    own: Option<(Arc<CertifiedKey>, Validity)>,
}

impl ClientTls {
    /// Reads the files once; and what is not as it should be, in words.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn load(files: &ClientFiles, alpn: &[&[u8]]) -> Result<(Self, Vec<String>), Error> {
        follow::load(&Recipe::new(files.clone(), alpn))
    }
}

pub(crate) struct Recipe {
    files: ClientFiles,
    alpn: Vec<Vec<u8>>,
}

impl Recipe {
    pub(crate) fn new(files: ClientFiles, alpn: &[&[u8]]) -> Self {
        Self { files, alpn: alpn.iter().map(|protocol| protocol.to_vec()).collect() }
    }
}

impl follow::Recipe for Recipe {
    type Made = ClientTls;

    fn files(&self) -> Vec<PathBuf> {
        let ClientFiles { ca, cert_and_key } = &self.files;
        let (cert, key) = cert_and_key.as_ref().map(|(cert, key)| (cert, key)).unzip();
        [Some(ca), cert, key].into_iter().flatten().cloned().collect()
    }

    fn make(&self, contents: &[Content]) -> Result<ClientTls, Error> {
        let ClientFiles { ca, cert_and_key } = &self.files;
        let mut contents = contents.iter().map(|content| content.bytes.as_slice());
        let mut next = || contents.next().unwrap_or_default();
        let roots = pem::authorities(ca, next())?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(error.to_string()))?
            .with_root_certificates(roots);
        let own = match cert_and_key {
            Some((cert, key)) => {
                let (certified, validity) = pem::certified_key((cert, next()), (key, next()))?;
                Some((Arc::new(certified), validity))
            }
            None => None,
        };
        let mut config = match &own {
            Some((key, _)) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key.clone())))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        let not_after = own.as_ref().map(|(_, validity)| validity.not_after);
        Ok(ClientTls { config: Arc::new(config), not_after, own })
    }

    fn warnings(&self, contents: &[Content], made: &ClientTls, now: SystemTime) -> Vec<String> {
        let (Some((cert, key)), Some((certified, validity))) = (&self.files.cert_and_key, &made.own) else {
            return Vec::new();
        };
        let mut warnings = pem::dislikes(cert, certified, *validity, Purpose::Client, now);
        let is_public = contents.get(2).is_some_and(|key| key.is_public);
        warnings.extend(pem::exposed(key, is_public));
        warnings
    }
}
