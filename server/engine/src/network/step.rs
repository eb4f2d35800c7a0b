//! A rule as a question runs through it: eight bytes.

use super::policy::PodPeer;
use crate::object::Protocol;

/// A rule, or one pair of a peer and a port of one: the ports it allows, and what remains to be asked when they fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    first_port: u16,
    /// How many ports follow the first.
    more_ports: u16,
    /// From the lowest bit: one bit a protocol, the kind of the test, its argument.
    what: u32,
}

/// What remains to be asked once protocol and port fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// The rule itself, its ports included.
    Rule,
    /// Whether this bit is set in what is known of the other end: see [`facts`](super::line::facts).
    Fact(u32),
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
/// The kind of [`Test::Fact`]; the others are odd.
const FACT: u32 = 0;
const EVERY_PROTOCOL: u32 = (1 << PROTOCOL_BITS) - 1;

/// The fact that is true of everybody.
const ANYBODY: u32 = 63;
/// The fact that is true of every pod.
const POD: u32 = 62;
/// The fact that is true of every pod of the same namespace. The facts below are those that match one of its selectors.
pub(super) const OWN_NAMESPACE: u32 = 61;
/// What is known of an end that is no pod, and of a pod of another namespace.
pub(super) const NO_POD: u64 = 1 << ANYBODY;
pub(super) const ANY_POD: u64 = 1 << ANYBODY | 1 << POD;

impl Test {
    /// What is asked of everybody's rule.
    pub(super) const ANYBODY: Self = Test::Fact(ANYBODY);

    /// How a peer is asked for. A selector of the policy's own namespace without a bit has its set, which holds pods
    /// of that namespace alone.
    pub(super) fn of(peer: PodPeer) -> Self {
        match peer {
            PodPeer::Every => Test::Fact(POD),
            PodPeer::OwnNamespace => Test::Fact(OWN_NAMESPACE),
            PodPeer::OwnSelected { bit: Some(bit), .. } => Test::Fact(u32::from(bit)),
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
            Test::Fact(bit) => (FACT, bit),
            Test::Rule => (1, 0),
            Test::Namespaces(selector) => (3, selector),
            Test::Selected(selector) => (5, selector),
            Test::Block(set) => (7, set),
        };
        if argument >> ARGUMENT_BITS != 0 {
            return Self::new(Test::Rule);
        }
        let what = (argument << KIND_BITS | kind) << PROTOCOL_BITS | EVERY_PROTOCOL;
        Self { first_port: 0, more_ports: u16::MAX, what }
    }

    /// The same for these ports of one protocol.
    pub(super) fn on(self, protocol: Protocol, first_port: u16, last_port: u16) -> Self {
        let (what, more_ports) =
            (self.what & !EVERY_PROTOCOL | bit(protocol), last_port.wrapping_sub(first_port));
        Self { first_port, more_ports, what }
    }

    /// 1 if protocol and port fit and, if the step is a fact, it is true; else 0. In one go and without a branch: whether a
    /// step passes is different for each question, and a processor that guesses wrong loses more time than this takes.
    #[inline(always)]
    pub(super) fn passes_so_far(self, facts: u64, protocol: Protocol, port: u16) -> u32 {
        let on_port = u32::from(port.wrapping_sub(self.first_port) <= self.more_ports);
        let on_protocol = self.what.wrapping_shr(protocol as u32);
        let is_open = self.what >> PROTOCOL_BITS;
        let is_true = facts.wrapping_shr(self.what >> (KIND_BITS + PROTOCOL_BITS)) as u32;
        on_port & on_protocol & (is_open | is_true) & 1
    }

    /// Whether nothing else has to be asked.
    #[inline(always)]
    pub(super) fn is_fact(self) -> bool {
        self.what >> PROTOCOL_BITS & 1 == FACT
    }

    #[inline]
    pub(super) fn test(self) -> Test {
        let argument = self.what >> (KIND_BITS + PROTOCOL_BITS);
        match self.what >> PROTOCOL_BITS & ((1 << KIND_BITS) - 1) {
            FACT => Test::Fact(argument),
            3 => Test::Namespaces(argument),
            5 => Test::Selected(argument),
            7 => Test::Block(argument),
            _ => Test::Rule,
        }
    }
}

const fn bit(protocol: Protocol) -> u32 {
    1u32.wrapping_shl(protocol as u32)
}

#[cfg(test)]
mod tests {
    use super::{ARGUMENT_BITS, Step, Test};
    use crate::object::Protocol;

    #[test]
    fn a_step_tells_what_it_was_made_of() {
        let highest = (1 << ARGUMENT_BITS) - 1;
        let tests = [Test::Rule, Test::ANYBODY, Test::Fact(0), Test::Block(0)];
        for test in tests.into_iter().chain([Test::Namespaces(highest), Test::Selected(7)]) {
            let step = Step::new(test);
            assert_eq!((step.test(), step.is_fact()), (test, matches!(test, Test::Fact(_))));
            assert_eq!(step.passes_so_far(u64::MAX, Protocol::Sctp, u16::MAX), 1);
            let step = step.on(Protocol::Udp, 53, 60);
            assert_eq!(step.test(), test);
            let ports = [(Protocol::Udp, 53), (Protocol::Udp, 60), (Protocol::Udp, 61), (Protocol::Tcp, 53)];
            let passes = |(protocol, port)| step.passes_so_far(u64::MAX, protocol, port);
            assert_eq!(ports.map(passes), [1, 1, 0, 0]);
            assert_eq!(step.passes_so_far(0, Protocol::Udp, 53), u32::from(!step.is_fact()));
        }
        let step = Step::new(Test::Fact(5));
        let passes = |facts| step.passes_so_far(facts, Protocol::Tcp, 80);
        assert_eq!([1 << 5, !(1 << 5)].map(passes), [1, 0]);
        // A place that was never filled is no rule.
        assert_eq!(Step::default().passes_so_far(u64::MAX, Protocol::Tcp, 0), 0);
    }

    #[test]
    fn a_number_too_high_is_left_to_the_rule() {
        assert_eq!(Step::new(Test::Selected(1 << ARGUMENT_BITS)).test(), Test::Rule);
    }
}
