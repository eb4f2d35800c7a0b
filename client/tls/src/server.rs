//! TLS of a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};

use crate::files::Content;
use crate::pem::{self, Purpose, Validity};
use crate::{Error, follow, provider};

/// Files of a server, all PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerFiles {
    /// The certificate, followed by its intermediates.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of its clients; there may be several. Without it no client is asked for a certificate.
    pub client_ca: Option<PathBuf>,
    /// What these authorities have revoked: a list of each authority that issued a certificate of a chain, intermediates
    /// included. A certificate whose authority has no list here, or one that is overdue, is refused. Needs `client_ca`.
    pub client_crl: Option<PathBuf>,
}

/// TLS of a server. A client may come without a certificate; one that it presents has to be good.
///
/// Each reading of the files gets a configuration of its own, and with it an empty store of sessions: nobody resumes a
/// session that was begun under authorities or revocation lists of the past.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// For an acceptor.
    pub config: Arc<ServerConfig>,
    /// From when the certificate is good.
    pub not_before: SystemTime,
    /// Until when the certificate is good.
    pub not_after: SystemTime,
    /// The certificate and its key, for a configuration of one's own.
    pub key: Arc<CertifiedKey>,
}

impl ServerTls {
    /// Reads the files once; and what is not as it should be, in words.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn load(files: &ServerFiles, alpn: &[&[u8]]) -> Result<(Self, Vec<String>), Error> {
        follow::load(&Recipe::new(files.clone(), alpn))
    }
}

pub(crate) struct Recipe {
    files: ServerFiles,
    alpn: Vec<Vec<u8>>,
}

impl Recipe {
    pub(crate) fn new(files: ServerFiles, alpn: &[&[u8]]) -> Self {
        Self { files, alpn: alpn.iter().map(|protocol| protocol.to_vec()).collect() }
    }
}

impl follow::Recipe for Recipe {
    type Made = ServerTls;

    fn files(&self) -> Vec<PathBuf> {
        let ServerFiles { cert, key, client_ca, client_crl } = &self.files;
        [Some(cert), Some(key), client_ca.as_ref(), client_crl.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    fn make(&self, contents: &[Content]) -> Result<ServerTls, Error> {
        let ServerFiles { cert, key, client_ca, client_crl } = &self.files;
        let mut contents = contents.iter().map(|content| content.bytes.as_slice());
        let mut next = || contents.next().unwrap_or_default();
        let (certified, Validity { not_before, not_after }) =
            pem::certified_key((cert, next()), (key, next()))?;
        let client_ca = client_ca.as_deref().map(|file| (file, next()));
        let client_crl = client_crl.as_deref().map(|file| (file, next()));
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(error.to_string()))?;
        let builder = match (client_ca, client_crl) {
            (None, None) => builder.with_no_client_auth(),
            (None, Some((file, _))) => {
                return Err(Error::content(
                    file,
                    "revocation lists need the authorities of the clients, too",
                ));
            }
            (Some((file, pem)), client_crl) => {
                let roots = pem::authorities(file, pem)?;
                builder.with_client_cert_verifier(verifier(file, roots, client_crl)?)
            }
        };
        let key = Arc::new(certified);
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key.clone())));
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(ServerTls { config: Arc::new(config), not_before, not_after, key })
    }

    fn warnings(&self, contents: &[Content], made: &ServerTls, now: SystemTime) -> Vec<String> {
        let validity = Validity { not_before: made.not_before, not_after: made.not_after };
        let mut warnings = pem::dislikes(&self.files.cert, &made.key, validity, Purpose::Server, now);
        let is_public = contents.get(1).is_some_and(|key| key.is_public);
        warnings.extend(pem::exposed(&self.files.key, is_public));
        warnings
    }
}

/// Checks certificates that clients present, and demands none.
fn verifier(
    client_ca: &Path,
    roots: RootCertStore,
    client_crl: Option<(&Path, &[u8])>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let mut verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).allow_unauthenticated();
    let mut blamed = client_ca;
    if let Some((file, pem)) = client_crl {
        // As OpenSSL and what is built on it: a list that is overdue tells nothing, and neither does a missing one.
        verifier = verifier.with_crls(pem::revocation_lists(file, pem)?).enforce_revocation_expiration();
        blamed = file;
    }
    verifier.build().map_err(|error| Error::content(blamed, error.to_string()))
}
