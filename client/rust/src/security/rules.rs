//! What goes together: settings with each other, and with addresses.

use gavel_tls::{ClientFiles, ClientTls};
use rustls::pki_types::ServerName;

use super::{Security, token};
use crate::connect::{ALPN, Address, Scheme};
use crate::error::Error;

/// Looks whether servers at these addresses could be asked with these settings, without asking them: what is wrong with
/// the settings, with the files that they name, and with each of the addresses.
pub fn check<A: AsRef<str>>(addresses: &[A], security: &Security) -> Vec<Error> {
    let files = || {
        let files = security.files().map(|files| ClientTls::load(&files, &[ALPN]));
        files.transpose().map_err(|error| Error::Security(error.to_string())).map(drop)
    };
    let token = || security.token_file.as_deref().map_or(Ok(()), token::check);
    let own = [security.check(), files(), token()].into_iter();
    let given = addresses.iter().map(|address| {
        let (at, scheme) = Address::parse(address.as_ref())?;
        security.goes_with(address.as_ref(), &at, scheme)
    });
    own.chain(given).filter_map(Result::err).collect()
}

impl Security {
    /// Whether the settings go together.
    pub(super) fn check(&self) -> Result<(), Error> {
        if let Some(name) = &self.server_name
            && ServerName::try_from(name.as_str()).is_err()
        {
            return fail(format!("server name `{name}`: neither a DNS name nor an IP address"));
        }
        if self.server_ca.is_none() && (self.server_name.is_some() || self.client_cert_and_key.is_some()) {
            return fail(
                "a server name and a client certificate need TLS: give the authorities of the servers' certificates, \
                 too (--server-ca FILE)",
            );
        }
        Ok(())
    }

    /// The files of TLS; none where none is spoken.
    pub(super) fn files(&self) -> Option<ClientFiles> {
        let ca = self.server_ca.clone()?;
        Some(ClientFiles { ca, cert_and_key: self.client_cert_and_key.clone() })
    }

    /// The name that the certificate of a server at a host must be for.
    pub(super) fn name_at(&self, host: &str) -> Result<ServerName<'static>, Error> {
        let name = self.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_owned()).or_else(|_| {
            fail(format!(
                "`{name}` is no name that a certificate could be for: say which one it is for (--server-name NAME)"
            ))
        })
    }

    /// Whether an address goes with the settings: what `https://` and `http://` say of TLS, the name that a certificate
    /// there would be for, and where a token may go.
    pub(super) fn goes_with(
        &self,
        given: &str,
        address: &Address,
        scheme: Option<Scheme>,
    ) -> Result<(), Error> {
        let fail = |why: &str| fail(format!("`{given}`: {why}"));
        match (scheme, &self.server_ca) {
            (Some(Scheme::Https), None) => fail(
                "TLS needs the authorities of the server's certificate (--server-ca FILE); the system's are not trusted",
            ),
            (Some(Scheme::Http), Some(_)) => fail(
                "says http://, while authorities of servers' certificates are given: say https://, or leave out \
                 --server-ca",
            ),
            (_, None) if self.token_file.is_some() && !address.is_local() && !self.token_without_tls => fail(
                "without TLS others could read the token on its way: give the authorities of the server's certificate \
                 (--server-ca FILE), or allow it (--token-without-tls)",
            ),
            (_, None) => Ok(()),
            (_, Some(_)) => address.host().map_or(Ok(()), |host| self.name_at(host).map(drop)),
        }
    }
}

fn fail<T>(why: impl Into<String>) -> Result<T, Error> {
    Err(Error::Security(why.into()))
}
