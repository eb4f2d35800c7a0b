//! NetworkPolicies, compiled: selectors by number, ipBlocks as ranges.

use std::sync::Arc;

use smallvec::SmallVec;

use super::address_set::AddressSet;
use crate::object::{PolicyPort, PortMatch, Protocol};

/// A NetworkPolicy, compiled against identities.
#[derive(Debug)]
pub struct CompiledPolicy {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its namespace's number.
    pub(super) namespace_id: u32,
    /// The selector of the pods it isolates, by number.
    pub(super) subject: u32,
    pub(super) isolates_ingress: bool,
    pub(super) isolates_egress: bool,
    pub(super) ingress: Box<[CompiledRule]>,
    pub(super) egress: Box<[CompiledRule]>,
}

/// One direction of a flow, from the view of the pod that policies hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

impl CompiledPolicy {
    pub(super) fn isolates(&self, direction: Direction) -> bool {
        match direction {
            Direction::Ingress => self.isolates_ingress,
            Direction::Egress => self.isolates_egress,
        }
    }

    pub(super) fn rules(&self, direction: Direction) -> &[CompiledRule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// The sets of addresses that it holds references to.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.ingress.iter().chain(&self.egress).filter_map(|rule| rule.addresses.as_ref())
    }

    /// The peers that hold references to selectors.
    pub(super) fn peers(&self) -> impl Iterator<Item = PodPeer> {
        self.ingress.iter().chain(&self.egress).flat_map(|rule| rule.pods.iter().copied())
    }
}

/// One rule: traffic with one of the peers, to one of the ports.
#[derive(Debug)]
pub(super) struct CompiledRule {
    /// No `from` or `to`: anybody, pod or not.
    pub(super) anybody: bool,
    /// Peers that are pods.
    pub(super) pods: SmallVec<[PodPeer; 2]>,
    /// Peers that are addresses; unset: the rule has no ipBlock.
    pub(super) addresses: Option<Block>,
    /// Empty: every port of every protocol.
    pub(super) ports: SmallVec<[CompiledPort; 1]>,
}

/// The ipBlocks of a rule, and the number of their set in [`Index::blocks`](super::Index::blocks).
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) id: u32,
    pub(super) set: Arc<AddressSet>,
}

/// A peer of a rule that stands for pods. Selectors that select everything need no set to look into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PodPeer {
    /// Every pod of every namespace.
    Every,
    /// Every pod of the policy's own namespace.
    OwnNamespace,
    /// Those pods of the policy's own namespace that match this pod selector.
    OwnSelected {
        selector: u32,
        /// By which bit a pod's [`Line::own`](super::line::Line::own) tells; unset: none was left.
        bit: Option<u8>,
    },
    /// Every pod of the namespaces that match this namespace selector.
    Namespaces(u32),
    /// The pods that match this pod selector, which knows its namespaces.
    Selected(u32),
}

/// A port of a rule.
#[derive(Debug)]
pub(super) struct CompiledPort {
    protocol: Protocol,
    ports: Ports,
}

#[derive(Debug)]
enum Ports {
    /// Inclusive.
    Range(u16, u16),
    Name(Box<str>),
}

impl CompiledPort {
    pub(super) fn new(port: &PolicyPort) -> Self {
        let ports = match &port.port {
            PortMatch::All => Ports::Range(0, u16::MAX),
            PortMatch::Range(first, last) => Ports::Range(*first, *last),
            PortMatch::Name(name) => Ports::Name(name.as_str().into()),
        };
        Self { protocol: port.protocol, ports }
    }

    /// The protocol, and its ports from the first to the last; all of them where a name has to be looked up.
    pub(super) fn range(&self) -> (Protocol, u16, u16) {
        match self.ports {
            Ports::Range(first, last) => (self.protocol, first, last),
            Ports::Name(_) => (self.protocol, 0, u16::MAX),
        }
    }

    pub(super) fn name(&self) -> Option<&str> {
        match &self.ports {
            Ports::Range(..) => None,
            Ports::Name(name) => Some(name),
        }
    }

    /// `has_name` tells whether the destination is a pod that calls this very port so.
    #[inline]
    pub(super) fn matches(&self, protocol: Protocol, port: u16, has_name: impl FnOnce(&str) -> bool) -> bool {
        self.protocol == protocol
            && match &self.ports {
                Ports::Range(first, last) => (*first..=*last).contains(&port),
                Ports::Name(name) => has_name(name),
            }
    }
}
