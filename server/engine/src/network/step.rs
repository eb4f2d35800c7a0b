//! A rule as a question runs through it: eight bytes.

use super::policy::PodPeer;
use crate::object::Protocol;

/// A rule, or one pair of a peer and a port of one: the ports it allows, and what remains to be asked when they fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    first_port: u16,
    last_port: u16,
    /// From the lowest bit: one bit a protocol, the kind of the test, its argument.
    what: u32,
}

/// What remains to be asked once protocol and port fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// The rule itself, its ports included.
    Rule,
    /// Nothing.
    Anybody,
    /// Whether the other end is a pod.
    Every,
    /// Whether the other end is a pod of the same namespace that has this bit: see [`Line::own`](super::line::Line).
    Own(u32),
    /// Whether this namespace selector matches the other end's namespace.
    Namespaces(u32),
    /// Whether this pod selector matches the other end.
    Selected(u32),
    /// Whether the other end's address is in this set.
    Block(u32),
}

const PROTOCOL_BITS: u32 = 3;
const KIND_BITS: u32 = 3;
const ARGUMENT_BITS: u32 = u32::BITS - PROTOCOL_BITS - KIND_BITS;
const EVERY_PROTOCOL: u32 = (1 << PROTOCOL_BITS) - 1;

/// The bit of [`Test::Own`] that every pod has.
pub(super) const OWN_NAMESPACE: u32 = 63;

impl Test {
    /// How a peer is asked for. A selector of the policy's own namespace without a bit has its set, which holds pods
    /// of that namespace alone.
    pub(super) fn of(peer: PodPeer) -> Self {
        match peer {
            PodPeer::Every => Test::Every,
            PodPeer::OwnNamespace => Test::Own(OWN_NAMESPACE),
            PodPeer::OwnSelected { bit: Some(bit), .. } => Test::Own(u32::from(bit)),
            PodPeer::OwnSelected { selector, bit: None } | PodPeer::Selected(selector) => {
                Test::Selected(selector)
            }
            PodPeer::Namespaces(selector) => Test::Namespaces(selector),
        }
    }
}

impl Step {
    /// Every port of every protocol. A test whose number is too high for a step becomes [`Test::Rule`].
    pub(super) fn new(test: Test) -> Self {
        let (kind, argument) = match test {
            Test::Rule => (0, 0),
            Test::Anybody => (1, 0),
            Test::Every => (2, 0),
            Test::Own(bit) => (3, bit),
            Test::Namespaces(selector) => (4, selector),
            Test::Selected(selector) => (5, selector),
            Test::Block(set) => (6, set),
        };
        if argument >> ARGUMENT_BITS != 0 {
            return Self::new(Test::Rule);
        }
        let what = (argument << KIND_BITS | kind) << PROTOCOL_BITS | EVERY_PROTOCOL;
        Self { first_port: 0, last_port: u16::MAX, what }
    }

    /// The same for these ports of one protocol.
    pub(super) fn on(self, protocol: Protocol, first_port: u16, last_port: u16) -> Self {
        Self { first_port, last_port, what: self.what & !EVERY_PROTOCOL | bit(protocol) }
    }

    /// Whether protocol and port fit.
    #[inline]
    pub(super) fn fits(self, protocol: Protocol, port: u16) -> bool {
        (self.what & bit(protocol) != 0) & (self.first_port <= port) & (port <= self.last_port)
    }

    #[inline]
    pub(super) fn test(self) -> Test {
        let argument = self.what >> (KIND_BITS + PROTOCOL_BITS);
        match self.what >> PROTOCOL_BITS & ((1 << KIND_BITS) - 1) {
            1 => Test::Anybody,
            2 => Test::Every,
            3 => Test::Own(argument),
            4 => Test::Namespaces(argument),
            5 => Test::Selected(argument),
            6 => Test::Block(argument),
            _ => Test::Rule,
        }
    }
}

const fn bit(protocol: Protocol) -> u32 {
    1 << protocol as u32
}

#[cfg(test)]
mod tests {
    use super::{ARGUMENT_BITS, Step, Test};
    use crate::object::Protocol;

    #[test]
    fn a_step_tells_what_it_was_made_of() {
        let highest = (1 << ARGUMENT_BITS) - 1;
        let tests = [Test::Rule, Test::Anybody, Test::Every, Test::Own(63), Test::Block(0)];
        for test in tests.into_iter().chain([Test::Namespaces(highest), Test::Selected(7)]) {
            let step = Step::new(test);
            assert_eq!(step.test(), test);
            assert!(step.fits(Protocol::Sctp, u16::MAX));
            let step = step.on(Protocol::Udp, 53, 60);
            assert_eq!(step.test(), test);
            let fits = [(Protocol::Udp, 53), (Protocol::Udp, 60), (Protocol::Udp, 61), (Protocol::Tcp, 53)];
            assert_eq!(fits.map(|(protocol, port)| step.fits(protocol, port)), [true, true, false, false]);
        }
    }

    #[test]
    fn a_number_too_high_is_left_to_the_rule() {
        assert_eq!(Step::new(Test::Selected(1 << ARGUMENT_BITS)).test(), Test::Rule);
    }
}
