//! Where the replicas are: names are resolved again and again, and the list of replicas follows.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::replica::Replica;
use super::{Settings, Shared, lock};
use crate::connect::{Address, Connection, KeepAlive};
use crate::error::Error;
use crate::security::Secure;

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
    Fixed(Address),
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
        secure: &Secure,
    ) -> Result<Self, Error> {
        if addresses.is_empty() {
            return Err(Error::Address { address: String::new() });
        }
        let targets: Result<_, _> =
            addresses.iter().map(|address| Target::parse(address.as_ref(), secure)).collect();
        Ok(Self { targets: targets?, settings, resolve })
    }

    /// Looks all names up, and lets the list of replicas follow. A name that cannot be resolved keeps what it stood
    /// for: that a resolver fails says nothing about the servers.
    pub(super) async fn refresh(&mut self, shared: &Shared, stop: &CancellationToken) {
        // By their addresses; the name that was given along, which certificates are for.
        let mut wanted: BTreeMap<String, (Address, String)> = BTreeMap::new();
        let mut unresolved = Vec::new();
        for target in &mut self.targets {
            match target {
                Target::Fixed(address) => {
                    let name = address.host().unwrap_or_default().to_owned();
                    wanted.insert(address.to_string(), (address.clone(), name));
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
                    for found in known {
                        let at = Address::Tcp { host: found.ip().to_string(), port: found.port() };
                        wanted.insert(found.to_string(), (at, host.clone()));
                    }
                }
            }
        }
        *lock(&shared.unresolved) = unresolved;
        let mut replicas = shared.replicas();
        replicas.retain(|replica| {
            let stays = wanted.remove(&replica.address).is_some();
            if !stays {
                replica.stop.cancel();
            }
            stays
        });
        for (address, (at, name)) in wanted {
            // Read before, when it was given, or made from an address.
            if let Ok(connection) = self.connection(&at, &name, &shared.secure) {
                replicas.push(Replica::start(
                    address,
                    connection,
                    shared.secure.clone(),
                    self.settings.clone(),
                    stop.child_token(),
                ));
            }
        }
        *lock(&shared.replicas) = replicas;
    }

    fn connection(&self, at: &Address, name: &str, secure: &Secure) -> Result<Connection, Error> {
        let Settings { probe_good_every, patience, .. } = self.settings;
        Connection::lazy(at, name, secure, Some(KeepAlive { every: probe_good_every, patience }))
    }
}

impl Target {
    fn parse(text: &str, secure: &Secure) -> Result<Self, Error> {
        let (address, scheme) = Address::parse(text)?;
        secure.check(text, &address, scheme)?;
        Ok(match address {
            Address::Tcp { host, port } if host.parse::<IpAddr>().is_err() => {
                Target::Name { host, port, known: Vec::new() }
            }
            address => Target::Fixed(address),
        })
    }
}
