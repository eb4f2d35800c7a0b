//! An authority, and what it issues: real certificates, in files.

use std::path::PathBuf;

use gavel_client::Security;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: tempfile::tempdir().unwrap() };
        authority.write("ca.crt", &authority.issuer.pem());
        authority
    }

    /// A certificate for a name, from year to year.
    pub(crate) fn issue(&self, name: &str, from: i32, to: i32) -> Issued {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// TLS of a server by this name.
    pub(crate) fn serves(&self, name: &str) -> ServerTlsConfig {
        self.issue(name, 2020, 2100).serves()
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file in the authority's folder, switched in one step.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(self.path("new"), text).unwrap();
        std::fs::rename(self.path("new"), &path).unwrap();
        path
    }

    /// Settings of a client that trusts this authority.
    pub(crate) fn trusted(&self) -> Security {
        let mut security = Security::default();
        security.server_ca = Some(self.path("ca.crt"));
        security.reload_every = std::time::Duration::from_millis(50);
        security
    }

    /// The same, for a client with this certificate of its own.
    pub(crate) fn trusted_with(&self, own: &Issued) -> Security {
        let mut security = self.trusted();
        security.client_cert_and_key =
            Some((self.write("client.crt", &own.certificate), self.write("client.key", &own.key)));
        security
    }
}

impl Issued {
    pub(crate) fn serves(&self) -> ServerTlsConfig {
        ServerTlsConfig::new().identity(Identity::from_pem(&self.certificate, &self.key))
    }
}

/// Demands certificates of an authority.
pub(crate) fn demanding(tls: ServerTlsConfig, authority: &Authority) -> ServerTlsConfig {
    tls.client_ca_root(Certificate::from_pem(authority.pem()))
}
