//! Places for connections: so many in all, and so many for each address, so that one caller cannot take them all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::metrics::Turned;

/// The places there are.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One that is taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Inner>,
    address: IpAddr,
}

impl Places {
    pub(super) fn new(most: u32, most_of_one: u32) -> Self {
        let (most, most_of_one) = (most as usize, most_of_one as usize);
        Self(Arc::new(Inner { most, most_of_one, taken: Mutex::default() }))
    }

    /// A place for a connection from this address, or why there is none.
    pub(super) fn take(&self, address: IpAddr) -> Result<Place, Turned> {
        let address = address.to_canonical();
        let mut taken = self.0.lock();
        if taken.all >= self.0.most {
            return Err(Turned::Limit);
        }
        let of_one = taken.by_address.get(&address).copied().unwrap_or_default();
        if of_one >= self.0.most_of_one {
            return Err(Turned::AddressLimit);
        }
        taken.by_address.insert(address, of_one + 1);
        taken.all += 1;
        Ok(Place { places: self.0.clone(), address })
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        if let Some(of_one) = taken.by_address.get_mut(&self.address) {
            *of_one -= 1;
            if *of_one == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn taken_and_given_back() {
        let places = Places::new(3, 2);
        let one = IpAddr::from(Ipv4Addr::LOCALHOST);
        let mapped = IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
        let other = |last| IpAddr::from([192, 0, 2, last]);
        let first = places.take(one).unwrap();
        let second = places.take(mapped).unwrap();
        assert_eq!(
            places.take(one).unwrap_err(),
            Turned::AddressLimit,
            "the same address, however it is written"
        );
        let third = places.take(other(1)).unwrap();
        assert_eq!(places.take(other(2)).unwrap_err(), Turned::Limit);
        drop((first, second));
        let again = places.take(one).unwrap();
        drop((again, third));
        assert!(places.0.lock().by_address.is_empty(), "nothing is kept of who is gone");
        assert_eq!(places.0.lock().all, 0);
    }
}
