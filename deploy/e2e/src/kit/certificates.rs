//! Keys and certificates of a control plane.

use std::path::PathBuf;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::folder::Folder;

/// Files that an API server is started with.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// Certificate of the authority.
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Tokens of service accounts are signed with one, and checked with the other.
    pub(crate) service_account_key: PathBuf,
    pub(crate) service_account_public_key: PathBuf,
}

impl Certificates {
    /// Issues all of them.
    pub(crate) fn issue(folder: &Folder) -> anyhow::Result<Self> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "e2e");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(String::from);
        let key = KeyPair::generate()?;
        let mut server = CertificateParams::new(names)?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        let certificate = server.signed_by(&key, &authority).context("cannot sign a certificate")?;

        let service_accounts = KeyPair::generate()?;
        Ok(Self {
            ca: folder.write("ca.crt", &authority.pem())?,
            certificate: folder.write("apiserver.crt", &certificate.pem())?,
            key: folder.write("apiserver.key", &key.serialize_pem())?,
            service_account_key: folder.write("service-accounts.key", &service_accounts.serialize_pem())?,
            service_account_public_key: folder
                .write("service-accounts.pub", &service_accounts.public_key_pem())?,
        })
    }
}
