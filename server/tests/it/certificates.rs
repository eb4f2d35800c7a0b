//! Authorities, certificates and tokens of a test, real ones.

use std::path::PathBuf;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// An authority, and a folder for what it issues.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key, in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// What a certificate is for.
#[derive(Default)]
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a str,
    pub(crate) organizations: &'a [&'a str],
    pub(crate) uri: Option<&'a str>,
    pub(crate) is_expired: bool,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn issue(&self, subject: &Subject<'_>) -> Issued {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !subject.name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, subject.name);
        }
        for organization in subject.organizations {
            params.distinguished_name.push(DnType::OrganizationName, *organization);
        }
        if let Some(uri) = subject.uri {
            params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        }
        if subject.is_expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A certificate of a user.
    pub(crate) fn user(&self, name: &str) -> Issued {
        self.issue(&Subject { name, ..Subject::default() })
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A file in the authority's folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Files of a server's certificate: certificate, key, authority.
    pub(crate) fn server_files(&self) -> (PathBuf, PathBuf, PathBuf) {
        let Issued { certificate, key } = self.user("gavel-server");
        (self.file("tls.crt", &certificate), self.file("tls.key", &key), self.file("ca.crt", &self.pem()))
    }

    /// A channel to a server that this authority vouches for.
    pub(crate) async fn connect(
        &self,
        address: &str,
        identity: Option<&Issued>,
    ) -> Result<Channel, tonic::transport::Error> {
        let mut tls =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.pem())).domain_name("localhost");
        if let Some(Issued { certificate, key }) = identity {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        Endpoint::from_shared(format!("https://{address}"))
            .unwrap()
            .tls_config(tls)
            .unwrap()
            .connect_timeout(Duration::from_secs(5))
            .connect()
            .await
    }
}
