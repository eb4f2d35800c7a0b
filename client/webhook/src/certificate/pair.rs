//! A certificate, its key and who vouches for it, in PEM; and whether they are any good.

use std::fmt;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What HTTPS is served with.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Pair {
    /// The authorities that clients have to trust; empty where that is somebody else's business.
    pub(super) authorities: Vec<u8>,
    /// The certificate, followed by its intermediates.
    pub(super) certificate: Vec<u8>,
    /// Its private key.
    pub(super) key: Vec<u8>,
}

/// Without the key.
impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}

/// From when to when a certificate is good, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: i64,
    pub(super) to: i64,
}

/// The certificates of a PEM text.
pub(super) fn certificates(pem: &[u8]) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.context("the certificate is not PEM")?;
    anyhow::ensure!(!certificates.is_empty(), "there is no certificate in it");
    Ok(certificates)
}

/// From when to when a certificate is good.
pub(super) fn validity(certificate: &CertificateDer<'_>) -> anyhow::Result<Validity> {
    let (_, parsed) = X509Certificate::from_der(certificate).context("the certificate cannot be read")?;
    let validity = parsed.validity();
    Ok(Validity { from: validity.not_before.timestamp(), to: validity.not_after.timestamp() })
}

impl Pair {
    /// Certificate and key as TLS wants them; they have to belong together.
    pub(super) fn certified_key(&self) -> anyhow::Result<(CertifiedKey, Validity)> {
        let chain = certificates(&self.certificate)?;
        let validity = validity(chain.first().context("there is no certificate in it")?)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).context("the private key cannot be read")?;
        let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
            .context("certificate and private key do not go together")?;
        Ok((certified, validity))
    }

    /// Whether a client that trusts the authorities would take the certificate for each of the names.
    pub(super) fn verify(&self, names: &[String], now: i64) -> anyhow::Result<()> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&self.authorities).context("the authority")? {
            roots.add(authority).context("the authority")?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        let chain = certificates(&self.certificate)?;
        let (leaf, intermediates) = chain.split_first().context("there is no certificate in it")?;
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(now)?));
        for name in names {
            verifier
                .verify_server_cert(leaf, intermediates, &server_name(name)?, &[], now)
                .with_context(|| format!("it is not good for {name}"))?;
        }
        Ok(())
    }
}

/// A name that a certificate can be for.
pub(super) fn server_name(name: &str) -> anyhow::Result<ServerName<'static>> {
    ServerName::try_from(name.to_owned())
        .with_context(|| format!("--dns-name {name}: neither a DNS name nor an IP address"))
}
