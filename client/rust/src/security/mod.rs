//! How servers are known, and how they know who asks: TLS, certificates, tokens. All files are followed.

mod rules;
mod status;
mod token;
pub(crate) mod words;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gavel_tls::{ClientTls, Followed};
use rustls::pki_types::ServerName;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};

pub use rules::check;
pub use status::SecurityStatus;
use status::Watched;
use token::Token;

use crate::connect::{ALPN, Address, Scheme};
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
    settings: Security,
    files: Option<Followed<ClientTls>>,
    token: Option<Arc<Token>>,
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
    pub(crate) async fn open(settings: &Security) -> Result<Self, Error> {
        let (every, watched) = (settings.reload_every, Arc::new(Watched::default()));
        settings.check()?;
        let files = match settings.files() {
            Some(files) => {
                let events = Watched::events(&watched, "TLS to servers");
                let opened = gavel_tls::connect(files, &[ALPN], every, events).await;
                Some(opened.map_err(|error| Error::Security(error.to_string()))?)
            }
            None => None,
        };
        let token = match &settings.token_file {
            Some(path) => Some(Arc::new(Token::open(path.clone(), every, &watched).await?)),
            None => None,
        };
        Ok(Self { settings: settings.clone(), files, token, watched })
    }

    /// Whether an address goes with the settings.
    pub(crate) fn check(&self, given: &str, address: &Address, scheme: Option<Scheme>) -> Result<(), Error> {
        self.settings.goes_with(given, address, scheme)
    }

    /// TLS to a server at a host; none where none is spoken.
    pub(crate) fn tls(&self, host: &str) -> Result<Option<Tls>, Error> {
        match self.files.clone() {
            Some(files) => Ok(Some(Tls { files, name: self.settings.name_at(host)? })),
            None => Ok(None),
        }
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
