//! The callers that are known, and what each of them has. Bounded: whoever is idle is forgotten first.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;

use super::{Budget, Limits};

/// How many callers are told apart.
const MOST: usize = 10_000;
/// How often it is looked for idle ones, at most.
const SWEEP: Duration = Duration::from_secs(1);

/// Whom a limit is held against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// An authenticated user.
    User(Arc<str>),
    /// An address; of IPv6 the network of 64 bits, since one host may have all of its addresses.
    Address(IpAddr),
    /// Whoever came by a unix socket.
    Local,
    /// Whoever comes when too many are told apart already.
    Others,
}

impl Key {
    /// The key of an address.
    pub(crate) fn address(address: IpAddr) -> Self {
        Key::Address(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (!0 << 64))),
        })
    }
}

/// What each caller has.
#[derive(Debug)]
pub(crate) struct Callers {
    limits: Arc<Limits>,
    budgets: DashMap<Key, Arc<Budget>>,
    swept: Mutex<Instant>,
    most: usize,
}

impl Callers {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self { limits, budgets: DashMap::new(), swept: Mutex::new(Instant::now()), most: MOST }
    }

    /// What this caller has.
    pub(crate) fn budget(&self, key: &Key) -> Arc<Budget> {
        if let Some(budget) = self.budgets.get(key) {
            return budget.clone();
        }
        let key = if self.is_full() { &Key::Others } else { key };
        self.budgets.entry(key.clone()).or_insert_with(|| Arc::new(self.limits.budget())).clone()
    }

    /// How many callers are told apart.
    pub(crate) fn count(&self) -> usize {
        self.budgets.len()
    }

    fn is_full(&self) -> bool {
        if self.budgets.len() < self.most {
            return false;
        }
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.elapsed() < SWEEP {
            return true;
        }
        *swept = Instant::now();
        // Nobody else has it: no request is in flight, and no connection is open.
        self.budgets.retain(|_, budget| Arc::strong_count(budget) > 1);
        self.budgets.len() >= self.most
    }

    /// What all callers have together.
    pub(crate) fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    #[cfg(test)]
    pub(super) fn with_most(limits: Arc<Limits>, most: usize) -> Self {
        let swept = Instant::now().checked_sub(SWEEP).map_or_else(|| Mutex::new(Instant::now()), Mutex::new);
        Self { swept, most, ..Self::new(limits) }
    }
}
