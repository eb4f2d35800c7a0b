//! Where the replicas are: names are resolved again and again, and the list of replicas follows.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::replica::Replica;
use super::{Settings, Shared, lock};
use crate::connect::endpoint;
use crate::error::Error;

/// The addresses of a name, to come.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Resolves names to addresses.
pub trait Resolve: std::fmt::Debug + Send + Sync {
    /// All addresses of a host.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dns;

impl Resolve for Dns {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// What was asked for.
#[derive(Debug)]
enum Target {
    /// An address that stays.
    Fixed(String),
    /// A name with a port, and what it last stood for.
    Name { host: String, port: u16, known: Vec<SocketAddr> },
}

/// Everything that was asked for.
#[derive(Debug)]
pub(super) struct Addresses {
    targets: Vec<Target>,
    settings: Settings,
    resolve: Arc<dyn Resolve>,
}

impl Addresses {
    pub(super) fn parse<A: AsRef<str>>(
        addresses: &[A],
        settings: Settings,
        resolve: Arc<dyn Resolve>,
    ) -> Result<Self, Error> {
        if addresses.is_empty() {
            return Err(Error::Address { address: String::new() });
        }
        let targets: Result<_, _> = addresses.iter().map(|address| Target::parse(address.as_ref())).collect();
        Ok(Self { targets: targets?, settings, resolve })
    }

    /// Looks all names up, and lets the list of replicas follow. A name that cannot be resolved keeps what it stood
    /// for: that a resolver fails says nothing about the servers.
    pub(super) async fn refresh(&mut self, shared: &Shared, stop: &CancellationToken) {
        let mut wanted = BTreeSet::new();
        let mut unresolved = Vec::new();
        for target in &mut self.targets {
            match target {
                Target::Fixed(address) => {
                    wanted.insert(address.clone());
                }
                Target::Name { host, port, known } => {
                    let resolving = self.resolve.resolve(host, *port);
                    match tokio::time::timeout(self.settings.patience, resolving).await {
                        Ok(Ok(found)) if !found.is_empty() => *known = found,
                        Ok(Ok(_)) => unresolved.push(format!("{host} has no addresses")),
                        Ok(Err(error)) => unresolved.push(format!("{host} cannot be resolved: {error}")),
                        Err(_) => unresolved.push(format!(
                            "{host} cannot be resolved: no answer within {:?}",
                            self.settings.patience
                        )),
                    }
                    wanted.extend(known.iter().map(ToString::to_string));
                }
            }
        }
        *lock(&shared.unresolved) = unresolved;
        let mut replicas = shared.replicas();
        replicas.retain(|replica| {
            let stays = wanted.remove(&replica.address);
            if !stays {
                replica.stop.cancel();
            }
            stays
        });
        for address in wanted {
            // Read before, when it was given, or made from an address.
            if let Ok(channel) = self.channel(&address) {
                replicas.push(Replica::start(address, channel, self.settings, stop.child_token()));
            }
        }
        *lock(&shared.replicas) = replicas;
    }

    /// A connection that is made when it is first needed, and again when it broke.
    fn channel(&self, address: &str) -> Result<Channel, Error> {
        let (endpoint, socket) = endpoint(address)?;
        let endpoint = endpoint
            .connect_timeout(self.settings.patience)
            .http2_keep_alive_interval(self.settings.probe_good_every)
            .keep_alive_timeout(self.settings.patience)
            .keep_alive_while_idle(true);
        Ok(match socket {
            None => endpoint.connect_lazy(),
            Some(socket) => endpoint.connect_with_connector_lazy(socket),
        })
    }
}

impl Target {
    fn parse(address: &str) -> Result<Self, Error> {
        let (endpoint, socket) = endpoint(address)?;
        if socket.is_some() {
            return Ok(Target::Fixed(address.to_owned()));
        }
        let wrong = || Error::Address { address: address.to_owned() };
        let uri = endpoint.uri();
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong());
        }
        let host = uri.host().ok_or_else(wrong)?;
        let port = match uri.port_u16() {
            Some(port) => port,
            None if address.starts_with("http://") && uri.port().is_none() => 80,
            None => return Err(wrong()),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        Ok(match bare.parse::<IpAddr>() {
            Ok(ip) => Target::Fixed(SocketAddr::new(ip, port).to_string()),
            Err(_) if host.is_empty() => return Err(wrong()),
            Err(_) => Target::Name { host: host.to_owned(), port, known: Vec::new() },
        })
    }
}
