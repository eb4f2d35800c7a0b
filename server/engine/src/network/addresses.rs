//! Whose address is it?

use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};

use std::num::NonZeroU32;

use foldhash::fast::RandomState;

use crate::persist::{FlatTable, IdSet, Table};

/// The pod that has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The pod's number.
    pub(super) pod: u32,
    /// One more than the identity's number, so that an empty place of a table takes no space of its own;
    /// [`HOST_NETWORK`] if policies do not hold the pod.
    identity: NonZeroU32,
}

/// In place of the identity of a pod that shares its node's network.
const HOST_NETWORK: NonZeroU32 = NonZeroU32::MAX;
/// In place of the pod when several have the address.
const SHARED: u32 = u32::MAX;

impl Owner {
    /// `identity` is unset if policies do not hold the pod.
    pub(super) fn new(pod: u32, identity: Option<u32>) -> Self {
        let identity = identity.and_then(|identity| NonZeroU32::new(identity.wrapping_add(1)));
        Self { pod, identity: identity.unwrap_or(HOST_NETWORK) }
    }

    /// The identity's number; unset if policies do not hold the pod.
    #[inline]
    pub(super) fn identity(self) -> Option<u32> {
        (self.identity != HOST_NETWORK).then(|| self.identity.get() - 1)
    }
}

/// Addresses of pods. The families are kept apart, which keeps entries small: of these tables every decision about
/// addresses reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    hasher: RandomState,
    v4: FlatTable<(u32, Owner)>,
    v6: FlatTable<(V6, Owner)>,
    /// The pods that share an address.
    shared: Table<(IpAddr, IdSet)>,
}

/// In halves, which need no more than eight bytes of alignment.
type V6 = [u64; 2];

#[inline(always)]
fn hash_v4(hasher: &RandomState, address: u32) -> u64 {
    hasher.hash_one(address)
}

fn hash_v6(hasher: &RandomState, [high, low]: V6) -> u64 {
    hasher.hash_one((high, low))
}

fn halves(address: Ipv6Addr) -> V6 {
    let bits = address.to_bits();
    [(bits >> 64) as u64, bits as u64]
}

impl Addresses {
    /// The one pod that has the address, whichever way it is written. One that several have is no pod's: which of them
    /// is meant, nobody can tell.
    #[inline(always)]
    pub(super) fn owner(&self, address: &IpAddr) -> Option<Owner> {
        self.entry(address).filter(|owner| owner.pod != SHARED)
    }

    #[inline(always)]
    fn entry(&self, address: &IpAddr) -> Option<Owner> {
        match address {
            IpAddr::V4(address) => self.entry_v4(address.to_bits()),
            IpAddr::V6(address) => self.entry_v6(*address),
        }
    }

    #[inline(always)]
    fn entry_v4(&self, address: u32) -> Option<Owner> {
        let hash = hash_v4(&self.hasher, address);
        self.v4.find(hash, |(other, _)| *other == address).map(|(_, owner)| *owner)
    }

    #[inline(never)]
    fn entry_v6(&self, address: Ipv6Addr) -> Option<Owner> {
        if let Some(address) = address.to_ipv4_mapped() {
            return self.entry_v4(address.to_bits());
        }
        let address = halves(address);
        self.v6.find(hash_v6(&self.hasher, address), |(other, _)| *other == address).map(|(_, owner)| *owner)
    }

    /// The pod has the address from now on.
    pub(super) fn insert(&mut self, address: IpAddr, owner: Owner) {
        let Some(present) = self.entry(&address) else { return self.put(address, owner) };
        if present.pod == SHARED {
            let hash = self.hasher.hash_one(address);
            if let Some((_, pods)) = self.shared.find_mut(hash, |(other, _)| *other == address) {
                pods.insert(owner.pod);
            }
            return;
        }
        let mut pods = IdSet::default();
        pods.insert(present.pod);
        pods.insert(owner.pod);
        let hasher = self.hasher.clone();
        let hash = hasher.hash_one(address);
        self.shared.insert(hash, (address, pods), |(address, _)| hasher.hash_one(address));
        self.put(address, Owner::new(SHARED, None));
    }

    /// The pod does not have the address any more; `owner_of` tells of any other pod.
    pub(super) fn remove(&mut self, address: IpAddr, pod: u32, owner_of: impl FnOnce(u32) -> Option<Owner>) {
        let Some(present) = self.entry(&address) else { return };
        if present.pod == pod {
            return self.take(address);
        }
        let hash = self.hasher.hash_one(address);
        let Some((_, pods)) = self.shared.find_mut(hash, |(other, _)| *other == address) else { return };
        pods.remove(pod);
        if pods.len() > 1 {
            return;
        }
        let last = pods.iter().next().and_then(owner_of);
        self.shared.remove(hash, |(other, _)| *other == address);
        match last {
            Some(owner) => self.put(address, owner),
            None => self.take(address),
        }
    }

    fn put(&mut self, address: IpAddr, owner: Owner) {
        let hasher = &self.hasher;
        match address {
            IpAddr::V4(address) => {
                let address = address.to_bits();
                let hash = hash_v4(hasher, address);
                match self.v4.find_mut(hash, |(other, _)| *other == address) {
                    Some((_, present)) => *present = owner,
                    None => self.v4.insert(hash, (address, owner), |(address, _)| hash_v4(hasher, *address)),
                }
            }
            IpAddr::V6(address) => {
                let address = halves(address);
                let hash = hash_v6(hasher, address);
                match self.v6.find_mut(hash, |(other, _)| *other == address) {
                    Some((_, present)) => *present = owner,
                    None => self.v6.insert(hash, (address, owner), |(address, _)| hash_v6(hasher, *address)),
                }
            }
        }
    }

    fn take(&mut self, address: IpAddr) {
        let hasher = &self.hasher;
        match address {
            IpAddr::V4(address) => {
                let address = address.to_bits();
                let hash = hash_v4(hasher, address);
                self.v4.remove(
                    hash,
                    |(other, _)| *other == address,
                    |(address, _)| hash_v4(hasher, *address),
                );
            }
            IpAddr::V6(address) => {
                let address = halves(address);
                let hash = hash_v6(hasher, address);
                self.v6.remove(
                    hash,
                    |(other, _)| *other == address,
                    |(address, _)| hash_v6(hasher, *address),
                );
            }
        }
    }
}
