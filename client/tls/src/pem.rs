//! PEM: certificates, private keys and revocation lists; and from when to when certificates are good.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};

use crate::Error;

/// From when to when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub not_before: SystemTime,
    /// Not after.
    pub not_after: SystemTime,
}

impl Validity {
    /// Reads the validity of a certificate in DER; an error in words when it cannot be read.
    ///
    /// # Errors
    /// When it is no certificate.
    pub fn of_der(certificate: &[u8]) -> Result<Self, String> {
        let validity = parsed(certificate)?.validity().clone();
        Ok(Self { not_before: time(validity.not_before)?, not_after: time(validity.not_after)? })
    }

    /// Why the certificate is not good at that time, if it is not.
    pub(crate) fn problem(&self, now: SystemTime) -> Option<&'static str> {
        if now > self.not_after {
            Some("has expired")
        } else if now < self.not_before {
            Some("is not valid yet")
        } else {
            None
        }
    }
}

/// What a certificate is presented for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Server,
    Client,
}

/// A certificate chain and its key, which belong together.
pub(crate) fn certified_key(
    (cert, cert_pem): (&Path, &[u8]),
    (key, key_pem): (&Path, &[u8]),
) -> Result<(CertifiedKey, Validity), Error> {
    let chain = certificates(cert, cert_pem)?;
    let mut validity = None;
    for (index, one) in chain.iter().enumerate() {
        let one = Validity::of_der(one).map_err(|why| Error::content(cert, nth(index, &why)))?;
        validity.get_or_insert(one);
    }
    let validity = validity.ok_or_else(|| Error::content(cert, NO_CERTIFICATE))?;
    let der = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| {
        Error::content(
            key,
            words(&error, "there is no private key (PKCS #8, PKCS #1 or SEC 1, in PEM) in it"),
        )
    })?;
    match CertifiedKey::from_der(chain, der, &crate::provider()) {
        Ok(certified) => Ok((certified, validity)),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(Error::Mismatch { cert: cert.to_owned(), key: key.to_owned() })
        }
        Err(error) => Err(Error::content(key, format!("the private key cannot be used: {error}"))),
    }
}

/// The authorities of a bundle.
pub(crate) fn authorities(file: &Path, pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for (index, authority) in certificates(file, pem)?.into_iter().enumerate() {
        roots.add(authority).map_err(|error| Error::content(file, nth(index, &error.to_string())))?;
    }
    Ok(roots)
}

/// The revocation lists of a file.
pub(crate) fn revocation_lists(
    file: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    items(file, pem, "there is no revocation list (BEGIN X509 CRL, in PEM) in it")
}

const NO_CERTIFICATE: &str = "there is no certificate (BEGIN CERTIFICATE, in PEM) in it";

fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    items(file, pem, NO_CERTIFICATE)
}

fn items<T: PemObject>(file: &Path, pem: &[u8], none: &str) -> Result<Vec<T>, Error> {
    let items: Result<Vec<_>, _> = T::pem_slice_iter(pem).collect();
    let items = items.map_err(|error| Error::content(file, words(&error, none)))?;
    if items.is_empty() {
        return Err(Error::content(file, none));
    }
    Ok(items)
}

/// The parser's own words quote lines as lists of bytes.
fn words(error: &pem::Error, none: &str) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "PEM: a section has no end: is the file whole?".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "PEM: a BEGIN line is malformed".to_owned(),
        pem::Error::NoItemsFound => none.to_owned(),
        error => format!("PEM: {error}"),
    }
}

fn nth(index: usize, why: &str) -> String {
    format!("certificate {}: {why}", index + 1)
}

fn parsed(certificate: &[u8]) -> Result<X509Certificate<'_>, String> {
    let (rest, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| format!("it cannot be read as X.509: {error}"))?;
    if rest.is_empty() { Ok(parsed) } else { Err("it cannot be read as X.509: bytes follow it".to_owned()) }
}

fn time(time: ASN1Time) -> Result<SystemTime, String> {
    let seconds = Duration::from_secs(time.timestamp().unsigned_abs());
    let time = if time.timestamp() < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(seconds)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(seconds)
    };
    time.ok_or_else(|| "its validity is out of range".to_owned())
}

/// What the other side will not like about a certificate of one's own.
pub(crate) fn dislikes(
    file: &Path,
    key: &CertifiedKey,
    validity: Validity,
    purpose: Purpose,
    now: SystemTime,
) -> Vec<String> {
    let file = file.display();
    let mut dislikes = Vec::new();
    if let Some(problem) = validity.problem(now) {
        dislikes.push(format!("{file}: the certificate {problem}, others will refuse it"));
    }
    if let Some(leaf) = key.cert.first().and_then(|leaf| parsed(leaf).ok()) {
        // CaUsedAsEndEntity of rustls: what `openssl req -x509` makes.
        if leaf.is_ca() {
            dislikes.push(format!(
                "{file}: the certificate is one of an authority (CA:TRUE), others may refuse it"
            ));
        }
        let usage = leaf.extended_key_usage().ok().flatten().map(|usage| usage.value);
        let lacks = usage.filter(|usage| !usage.any).and_then(|usage| match purpose {
            Purpose::Server => (!usage.server_auth).then_some("serverAuth"),
            Purpose::Client => (!usage.client_auth).then_some("clientAuth"),
        });
        if let Some(usage) = lacks {
            dislikes.push(format!(
                "{file}: the certificate's extended key usage lacks {usage}, others will refuse it"
            ));
        }
    }
    dislikes
}

/// What is wrong with a private key that everybody can read.
pub(crate) fn exposed(key: &Path, is_public: bool) -> Option<String> {
    is_public
        .then(|| format!("{}: everybody on this machine can read the private key (chmod o-r)", key.display()))
}
