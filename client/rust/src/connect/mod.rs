//! Connections: over TCP, over TLS, over unix sockets.

mod address;
mod connector;
mod heard;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gavel_tls::ClientTls;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};

pub(crate) use address::{Address, Scheme};
pub(crate) use connector::ALPN;
use connector::{Plain, Secured, Socket};
use heard::Refusal;

use crate::error::Error;
use crate::security::{Secure, Tls, words};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How a connection to one server is kept: whoever listens to a server that is gone would wait for ever.
const KEEP_ALIVE: KeepAlive = KeepAlive { every: Duration::from_secs(10), patience: CONNECT };

/// How a connection is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepAlive {
    /// How often a sign of life is asked for.
    pub(crate) every: Duration,
    /// How long connecting, or a sign of life, may take.
    pub(crate) patience: Duration,
}

/// A connection that is made when it is first needed, again when it broke, and anew when the certificates that it was
/// made with have changed: calls under way end on the old one.
#[derive(Debug)]
pub(crate) struct Connection {
    endpoint: Endpoint,
    reach: Reach,
    made: Mutex<Made>,
}

#[derive(Debug)]
enum Reach {
    Unix(Socket),
    Tcp(Refusal),
    Tls(Tls, Refusal),
}

#[derive(Debug)]
struct Made {
    channel: Channel,
    with: Option<Arc<ClientTls>>,
}

impl Connection {
    /// A connection to come.
    pub(crate) fn lazy(
        at: &Address,
        name: &str,
        secure: &Secure,
        keep_alive: Option<KeepAlive>,
    ) -> Result<Self, Error> {
        let (endpoint, reach) = endpoint(at, name, secure, keep_alive)?;
        let made = reach.make(&endpoint);
        Ok(Self { endpoint, reach, made: Mutex::new(made) })
    }

    /// A connection that is there.
    pub(crate) async fn eager(at: &Address, name: &str, secure: &Secure) -> Result<Self, Error> {
        let (endpoint, reach) = endpoint(at, name, secure, Some(KEEP_ALIVE))?;
        let with = reach.current();
        let connected = match (&reach, &with) {
            (Reach::Unix(socket), _) => endpoint.connect_with_connector(socket.clone()).await,
            (Reach::Tls(tls, refusal), Some(with)) => {
                let secured = Secured::new(with, tls.name.clone(), refusal.clone());
                endpoint.connect_with_connector(secured).await
            }
            (Reach::Tcp(refusal) | Reach::Tls(_, refusal), _) => {
                endpoint.connect_with_connector(Plain::new(refusal.clone())).await
            }
        };
        let channel = connected.map_err(|error| Error::connect(at, &error))?;
        Ok(Self { endpoint, reach, made: Mutex::new(Made { channel, with }) })
    }

    /// The connection by which to ask now.
    pub(crate) fn channel(&self) -> Channel {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.reach.current();
        let is_same = match (&now, &made.with) {
            (Some(now), Some(with)) => Arc::ptr_eq(now, with),
            _ => true,
        };
        if !is_same {
            *made = self.reach.make(&self.endpoint);
        }
        made.channel.clone()
    }

    /// Why a call by this connection has no answer, in a line.
    pub(crate) fn describe(&self, status: &Status) -> String {
        self.refusal(status).unwrap_or_else(|| words::describe(status))
    }

    /// Whether the server was closing the connection, and nothing more.
    pub(crate) fn is_closing(&self, status: &Status) -> bool {
        self.refusal(status).is_none() && words::is_closing(status)
    }

    fn refusal(&self, status: &Status) -> Option<String> {
        // What a server says has no source; what has one comes from the connection.
        std::error::Error::source(status)?;
        match &self.reach {
            Reach::Tls(_, refusal) | Reach::Tcp(refusal) => refusal.words(),
            Reach::Unix(_) => None,
        }
    }
}

impl Reach {
    fn current(&self) -> Option<Arc<ClientTls>> {
        match self {
            Reach::Tls(tls, _) => Some(tls.files.current()),
            Reach::Unix(_) | Reach::Tcp(_) => None,
        }
    }

    fn make(&self, endpoint: &Endpoint) -> Made {
        match self {
            Reach::Unix(socket) => {
                Made { channel: endpoint.connect_with_connector_lazy(socket.clone()), with: None }
            }
            Reach::Tcp(refusal) => {
                let plain = Plain::new(refusal.clone());
                Made { channel: endpoint.connect_with_connector_lazy(plain), with: None }
            }
            Reach::Tls(tls, refusal) => {
                let with = tls.files.current();
                let secured = Secured::new(&with, tls.name.clone(), refusal.clone());
                Made { channel: endpoint.connect_with_connector_lazy(secured), with: Some(with) }
            }
        }
    }
}

/// The endpoint of an address; `name` is the host as it was given, which may have been resolved since.
fn endpoint(
    at: &Address,
    name: &str,
    secure: &Secure,
    keep_alive: Option<KeepAlive>,
) -> Result<(Endpoint, Reach), Error> {
    let wrong = |_| Error::Address { address: at.to_string() };
    let endpoint = Endpoint::from_shared(format!("http://{}", at.authority())).map_err(wrong)?;
    let endpoint = endpoint.connect_timeout(CONNECT).tcp_nodelay(true);
    let endpoint = match keep_alive {
        None => endpoint,
        Some(KeepAlive { every, patience }) => endpoint
            .connect_timeout(patience)
            .http2_keep_alive_interval(every)
            .keep_alive_timeout(patience)
            .keep_alive_while_idle(true),
    };
    Ok(match at {
        Address::Unix(path) => (endpoint, Reach::Unix(Socket(path.clone()))),
        Address::Tcp { port, .. } => match secure.tls(name)? {
            None => (endpoint, Reach::Tcp(Refusal::default())),
            Some(tls) => {
                let asked = Address::Tcp { host: name.to_owned(), port: *port };
                let origin: Uri = format!("https://{}", asked.authority())
                    .parse()
                    .map_err(|_| Error::Address { address: asked.to_string() })?;
                (endpoint.origin(origin), Reach::Tls(tls, Refusal::default()))
            }
        },
    })
}
