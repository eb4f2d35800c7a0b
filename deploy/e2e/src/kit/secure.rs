//! An authority of a scenario, and what it issues.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::folder::Folder;

/// An authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: Arc<Folder>,
    /// Its certificate.
    pub(crate) file: PathBuf,
}

impl Authority {
    pub(crate) fn new(folder: &Arc<Folder>) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of a scenario");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let file = folder.write("ca.crt", &issuer.pem())?;
        Ok(Self { issuer, folder: folder.clone(), file })
    }

    /// Files of a certificate and its key, of this name, for servers on the loopback interface, too.
    pub(crate) fn issue(&self, name: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((
            self.folder.write(&format!("{name}.crt"), &certificate.pem())?,
            self.folder.write(&format!("{name}.key"), &key.serialize_pem())?,
        ))
    }

    /// Flags of a server that serves with a certificate of its own, and wants certificates of its callers.
    pub(crate) fn server_flags(&self) -> anyhow::Result<Vec<String>> {
        let (cert, key) = self.issue("gavel-server")?;
        Ok(vec![
            format!("--tls-cert={}", cert.display()),
            format!("--tls-key={}", key.display()),
            format!("--tls-client-ca={}", self.file.display()),
        ])
    }

    /// Flags of a caller of that name.
    pub(crate) fn client_flags(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let (cert, key) = self.issue(name)?;
        Ok(vec![
            format!("--server-ca={}", self.file.display()),
            format!("--client-cert={}", cert.display()),
            format!("--client-key={}", key.display()),
        ])
    }
}
