//! How servers are known, and how they know who asks: TLS, certificates, tokens. All files are followed.

mod status;
mod token;
pub(crate) mod words;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gavel_tls::{ClientFiles, ClientTls, Followed};
use rustls::pki_types::ServerName;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};

pub use status::SecurityStatus;
use status::Watched;
use token::Token;

use crate::connect::{Address, Scheme};
use crate::error::Error;
use crate::trace::TraceContext;

/// How servers are known, and how they know who asks. The default is neither: no TLS, no credentials.
///
/// Files are read at once, and looked at again every [`reload_every`](Security::reload_every): a changed certificate is
/// used for new connections, which are made at once, and a changed token with the next call. Where a new file cannot be
/// used, the old one stays.
///
/// ```no_run
/// use gavel_client::{Client, Security};
///
/// # async fn example() -> Result<(), gavel_client::Error> {
/// let mut security = Security::default();
/// security.server_ca = Some("/etc/gavel/ca.crt".into());
/// security.token_file = Some("/var/run/secrets/gavel/token".into());
/// let client = Client::connect_with("gavel-server.gavel-system.svc:9470", &security).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Security {
    /// Authorities of the servers' certificates, in PEM; with them servers are asked over TLS. No other authority is
    /// trusted. Over unix sockets no TLS is spoken.
    pub server_ca: Option<PathBuf>,
    /// The name that servers' certificates must be for; else the host of the address as it was given, before it was
    /// resolved.
    pub server_name: Option<String>,
    /// A certificate of one's own with its intermediates, and its private key, in PEM.
    pub client_cert_and_key: Option<(PathBuf, PathBuf)>,
    /// A token, sent with each call as `authorization: Bearer …`.
    pub token_file: Option<PathBuf>,
    /// Whether the token may be sent without TLS to addresses that are not loopback, where others can read it.
    pub token_without_tls: bool,
    /// How often files are looked at.
    pub reload_every: Duration,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            server_ca: None,
            server_name: None,
            client_cert_and_key: None,
            token_file: None,
            token_without_tls: false,
            reload_every: Duration::from_secs(5),
        }
    }
}

/// The same, with its files read and followed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secure {
    files: Option<Followed<ClientTls>>,
    name: Option<ServerName<'static>>,
    token: Option<Arc<Token>>,
    token_without_tls: bool,
    watched: Arc<Watched>,
}

/// TLS to one server.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) files: Followed<ClientTls>,
    pub(crate) name: ServerName<'static>,
}

impl Secure {
    /// Reads the files.
    pub(crate) async fn open(security: &Security) -> Result<Self, Error> {
        let Security {
            server_ca,
            server_name,
            client_cert_and_key,
            token_file,
            token_without_tls,
            reload_every,
        } = security.clone();
        let watched = Arc::new(Watched::default());
        let name = match &server_name {
            Some(name) => Some(ServerName::try_from(name.clone()).map_err(|_| {
                Error::Security(format!("server name `{name}`: neither a DNS name nor an IP address"))
            })?),
            None => None,
        };
        let files = match server_ca {
            Some(ca) => {
                let files = ClientFiles { ca, cert_and_key: client_cert_and_key };
                let events = Watched::events(&watched, "TLS to servers");
                let opened = gavel_tls::connect(files, &[crate::connect::ALPN], reload_every, events).await;
                Some(opened.map_err(|error| Error::Security(error.to_string()))?)
            }
            None if name.is_some() || client_cert_and_key.is_some() => {
                return Err(Error::Security(
                    "a server name and a client certificate need TLS: give the authorities of the servers' \
                     certificates, too (--server-ca FILE)"
                        .to_owned(),
                ));
            }
            None => None,
        };
        let token = match token_file {
            Some(path) => Some(Arc::new(Token::open(path, reload_every, &watched).await?)),
            None => None,
        };
        Ok(Self { files, name, token, token_without_tls, watched })
    }

    /// Whether an address goes with the settings: what `https://` and `http://` say of TLS, and where a token may go.
    pub(crate) fn check(&self, given: &str, address: &Address, scheme: Option<Scheme>) -> Result<(), Error> {
        let fail = |why: &str| Err(Error::Security(format!("`{given}`: {why}")));
        match (scheme, &self.files) {
            (Some(Scheme::Https), None) => fail(
                "TLS needs the authorities of the server's certificate (--server-ca FILE); the system's are not trusted",
            ),
            (Some(Scheme::Http), Some(_)) => fail(
                "says http://, while authorities of servers' certificates are given: say https://, or leave out \
                 --server-ca",
            ),
            (_, None) if self.token.is_some() && !address.is_local() && !self.token_without_tls => fail(
                "without TLS others could read the token on its way: give the authorities of the server's certificate \
                 (--server-ca FILE), or allow it (--token-without-tls)",
            ),
            _ => Ok(()),
        }
    }

    /// TLS to a server at a host; none where none is spoken.
    pub(crate) fn tls(&self, host: &str) -> Result<Option<Tls>, Error> {
        let Some(files) = self.files.clone() else { return Ok(None) };
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(|_| {
                Error::Security(format!(
                    "`{host}` is no name that a certificate could be for: say which one it is for (--server-name NAME)"
                ))
            })?,
        };
        Ok(Some(Tls { files, name }))
    }

    /// Puts into what is sent along with a call who asks, and where in a trace it belongs. Gives what was put there as
    /// `authorization`.
    pub(crate) fn prepare(
        &self,
        metadata: &mut MetadataMap,
        trace: Option<&TraceContext>,
    ) -> Option<AsciiMetadataValue> {
        let authorization = self.token.as_ref().map(|token| token.current());
        if let Some(value) = &authorization {
            metadata.insert("authorization", value.clone());
        }
        if let Some(trace) = trace {
            trace.put(metadata);
        }
        authorization
    }

    /// Whether there is another token by now than the one that a server has just refused.
    pub(crate) async fn is_renewed(&self, refused: Option<&AsciiMetadataValue>) -> bool {
        match (&self.token, refused) {
            (Some(token), Some(refused)) => token.is_renewed(refused).await,
            _ => false,
        }
    }

    /// How it is at the moment.
    pub(crate) fn status(&self) -> SecurityStatus {
        let expires = self.files.as_ref().and_then(|files| files.current().not_after);
        self.watched.status(self.files.is_some(), self.token.is_some(), expires)
    }

    /// A server took the credentials, or did not.
    pub(crate) fn heard(&self, refusal: Option<String>) {
        self.watched.heard(refusal);
    }
}
