//! How many connections are open, in all and of each address.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

use super::Key;

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// There are too many.
    Server,
    /// There are too many of its address.
    Address,
}

/// Counts connections.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    most_of_an_address: usize,
    open: AtomicUsize,
    by_address: DashMap<Key, usize>,
}

impl Connections {
    pub(crate) fn new(most: usize, most_of_an_address: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_an_address, open: AtomicUsize::new(0), by_address: DashMap::new() })
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Lets one in, of an address or by a unix socket; it ends with the slot.
    ///
    /// # Errors
    /// When there are too many.
    pub(crate) fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Result<ConnectionSlot, Full> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Server);
        }
        let key = address.map(Key::address);
        if let Some(key) = &key {
            let mut count = self.by_address.entry(key.clone()).or_insert(0);
            if *count >= self.most_of_an_address {
                drop(count);
                self.open.fetch_sub(1, Ordering::Relaxed);
                return Err(Full::Address);
            }
            *count += 1;
        }
        Ok(ConnectionSlot { connections: self.clone(), key })
    }
}

/// A connection that was let in.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    connections: Arc<Connections>,
    key: Option<Key>,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.connections.by_address.remove_if_mut(key, |_, count| {
                *count -= 1;
                *count == 0
            });
        }
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
    }
}
