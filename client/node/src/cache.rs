//! Answers that are kept, as long as they hold.
//!
//! An answer holds for all pods of two identities, or for an address where policies look at that: see
//! `CheckFlowResponse`. All of it is forgotten together, since numbers of identities are of one state of the snapshot.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use crate::flow::{Answer, Flow, Protocol};

/// An end, as far as policies can tell it from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum End {
    Identity(u64),
    Address(IpAddr),
}

type Key = (End, End, Protocol, u16);

/// Answers that are kept.
#[derive(Debug)]
pub(crate) struct Cache {
    /// Whose address it is, as far as answers told.
    identities: HashMap<IpAddr, u64, RandomState>,
    answers: HashMap<Key, bool, RandomState>,
    /// Most entries of each of the two.
    most: usize,
}

impl Cache {
    /// Keeps so many answers at most; 0: none at all.
    pub(crate) fn new(most: usize) -> Self {
        Self { identities: HashMap::default(), answers: HashMap::default(), most }
    }

    /// Whether a flow is allowed, if that is known.
    pub(crate) fn get(&self, flow: &Flow) -> Option<bool> {
        // That a pod reaches itself says nothing of two pods of its identity, nor they of it.
        let is_itself = flow.source == flow.destination;
        let ends = |address: &IpAddr| {
            let identity = if is_itself { None } else { self.identities.get(address) };
            let identity = identity.map(|identity| End::Identity(*identity));
            [identity, Some(End::Address(*address))].into_iter().flatten()
        };
        ends(&flow.source).find_map(|source| {
            ends(&flow.destination).find_map(|destination| {
                self.answers.get(&(source, destination, flow.protocol, flow.port)).copied()
            })
        })
    }

    /// Keeps an answer.
    pub(crate) fn insert(&mut self, flow: &Flow, answer: &Answer) {
        if self.most == 0 {
            return;
        }
        // Whoever asks for ever new ports and addresses fills it: all is asked anew then, as after a change.
        if self.answers.len() >= self.most || self.identities.len() >= self.most {
            self.clear();
        }
        let mut end = |address, identity| {
            if identity == 0 {
                return End::Address(address);
            }
            self.identities.insert(address, identity);
            End::Identity(identity)
        };
        let source = end(flow.source, answer.source_identity);
        let destination = end(flow.destination, answer.destination_identity);
        self.answers.insert((source, destination, flow.protocol, flow.port), answer.allowed);
    }

    /// Forgets all of it.
    pub(crate) fn clear(&mut self) {
        self.answers.clear();
        self.identities.clear();
    }

    /// How many answers there are.
    pub(crate) fn len(&self) -> usize {
        self.answers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(source: &str, destination: &str, port: u16) -> Flow {
        Flow {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            protocol: Protocol::Tcp,
            port,
        }
    }

    fn answer(allowed: bool, source_identity: u64, destination_identity: u64) -> Answer {
        Answer { allowed, source_identity, destination_identity }
    }

    #[test]
    fn an_answer_holds_for_identities_or_else_for_addresses() {
        let mut cache = Cache::new(100);
        cache.insert(&flow("10.0.0.1", "10.0.0.2", 80), &answer(true, 1, 2));
        cache.insert(&flow("10.0.0.3", "10.0.0.4", 443), &answer(false, 1, 2));
        // All four are known by now; each answer is that of its port.
        for (source, destination) in [("10.0.0.1", "10.0.0.4"), ("10.0.0.3", "10.0.0.2")] {
            assert_eq!(cache.get(&flow(source, destination, 80)), Some(true));
            assert_eq!(cache.get(&flow(source, destination, 443)), Some(false));
            assert_eq!(cache.get(&flow(source, destination, 22)), None);
        }
        assert_eq!(cache.get(&flow("10.0.0.2", "10.0.0.1", 80)), None);
        assert_eq!(cache.get(&Flow { protocol: Protocol::Udp, ..flow("10.0.0.1", "10.0.0.2", 80) }), None);
        // Where the source's address matters, it holds for no other of its identity.
        cache.insert(&flow("10.0.0.1", "10.0.0.9", 80), &answer(false, 0, 9));
        assert_eq!(cache.get(&flow("10.0.0.1", "10.0.0.9", 80)), Some(false));
        assert_eq!(cache.get(&flow("10.0.0.3", "10.0.0.9", 80)), None);
        cache.clear();
        assert_eq!((cache.len(), cache.get(&flow("10.0.0.1", "10.0.0.2", 80))), (0, None));
    }

    #[test]
    fn a_pod_and_itself_are_not_two_pods_of_an_identity() {
        let mut cache = Cache::new(100);
        cache.insert(&flow("10.0.0.1", "10.0.0.2", 80), &answer(false, 1, 1));
        assert_eq!(cache.get(&flow("10.0.0.1", "10.0.0.1", 80)), None);
        cache.insert(&flow("10.0.0.1", "10.0.0.1", 80), &answer(true, 0, 0));
        assert_eq!(cache.get(&flow("10.0.0.1", "10.0.0.1", 80)), Some(true));
        assert_eq!(cache.get(&flow("10.0.0.2", "10.0.0.1", 80)), Some(false));
    }

    #[test]
    fn there_is_a_most_of_it() {
        let mut cache = Cache::new(10);
        for port in 1..=1000 {
            cache.insert(&flow("10.0.0.1", "10.0.0.2", port), &answer(true, 1, 2));
            assert!(cache.len() <= 10);
            assert_eq!(cache.get(&flow("10.0.0.1", "10.0.0.2", port)), Some(true));
        }
        let mut none = Cache::new(0);
        none.insert(&flow("10.0.0.1", "10.0.0.2", 80), &answer(true, 1, 2));
        assert_eq!(none.get(&flow("10.0.0.1", "10.0.0.2", 80)), None);
    }
}
