//! What isolates an identity for one direction, laid out to be run through.

use std::sync::Arc;

use super::policy::{CompiledPolicy, CompiledRule, Direction, PodPeer};
use crate::object::{ContainerPort, Protocol};

/// The policies that isolate an identity for one direction, and all their rules in one piece: a question reads a
/// line of memory or two, where going from policy to policy would read several of each.
#[derive(Clone, Debug, Default)]
pub(super) struct Isolation {
    /// In order of the policies.
    pub(super) steps: Vec<Step>,
    /// In order of their names.
    pub(super) policies: Vec<Arc<CompiledPolicy>>,
}

/// A rule, or one pair of a peer and a port of a rule that has few.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    first_port: u16,
    last_port: u16,
    /// One bit a protocol.
    protocols: u8,
    pub(super) test: Test,
    /// Index of the policy.
    pub(super) policy: u32,
    /// Index of the rule in its policy.
    pub(super) rule: u32,
}

/// What remains to be asked once protocol and port fit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Test {
    /// Nothing.
    Anybody,
    /// Whether the other end is this peer.
    Peer(PodPeer),
    /// The rule itself, its ports included.
    Rule,
}

/// Rules of more pairs of peers and ports than this are one step.
const MAX_PAIRS: usize = 4;
const EVERY_PROTOCOL: u8 = u8::MAX;

const fn bit(protocol: Protocol) -> u8 {
    1 << protocol as u8
}

impl Step {
    /// Whether protocol and port fit, as far as the step tells.
    #[inline]
    pub(super) fn fits(&self, protocol: Protocol, port: u16) -> bool {
        self.protocols & bit(protocol) != 0 && self.first_port <= port && port <= self.last_port
    }
}

impl Isolation {
    /// Adds the policy at the place its name asks for. `own_ports` are the identity's.
    pub(super) fn insert(
        &mut self,
        policy: &Arc<CompiledPolicy>,
        direction: Direction,
        own_ports: &[ContainerPort],
    ) {
        // Names are those of the destination: of ingress, that is the identity itself.
        let own_ports = (direction == Direction::Ingress).then_some(own_ports);
        let place = self.policies.partition_point(|other| other.name < policy.name);
        self.policies.insert(place, Arc::clone(policy));
        let start = self.shift(place, 1);
        let rules = policy.rules(direction).iter().enumerate();
        let steps = rules.flat_map(|(index, rule)| steps(place as u32, index as u32, rule, own_ports));
        self.steps.splice(start..start, steps);
    }

    /// Takes the policy of this name out.
    pub(super) fn remove(&mut self, name: &str) {
        let Ok(place) = self.policies.binary_search_by(|other| (*other.name).cmp(name)) else { return };
        self.policies.remove(place);
        self.steps.retain(|step| step.policy as usize != place);
        self.shift(place, -1);
    }

    /// The policies from `place` on have moved. Tells where their steps begin.
    fn shift(&mut self, place: usize, by: i32) -> usize {
        let start = self.steps.partition_point(|step| (step.policy as usize) < place);
        for step in &mut self.steps[start..] {
            step.policy = step.policy.saturating_add_signed(by);
        }
        start
    }
}

/// Without `named_ports`, names are left to be looked up.
fn steps(policy: u32, index: u32, rule: &CompiledRule, named_ports: Option<&[ContainerPort]>) -> Vec<Step> {
    let whole = Step {
        first_port: 0,
        last_port: u16::MAX,
        protocols: EVERY_PROTOCOL,
        test: Test::Rule,
        policy,
        rule: index,
    };
    let Some(ranges) = ranges(rule, named_ports) else { return vec![whole] };
    let on_ports = if rule.ports.is_empty() {
        vec![whole]
    } else {
        let on = |(protocol, first_port, last_port)| Step {
            first_port,
            last_port,
            protocols: bit(protocol),
            ..whole
        };
        ranges.into_iter().map(on).collect()
    };
    let tests: Vec<_> = if rule.anybody {
        vec![Test::Anybody]
    } else if rule.addresses.is_some() {
        vec![Test::Rule]
    } else {
        rule.pods.iter().map(|peer| Test::Peer(*peer)).collect()
    };
    if on_ports.len() * tests.len() > MAX_PAIRS {
        return vec![whole];
    }
    on_ports.into_iter().flat_map(|step| tests.iter().map(move |test| Step { test: *test, ..step })).collect()
}

/// Protocols with their first and last port; `None` if a name has to be looked up.
fn ranges(rule: &CompiledRule, named_ports: Option<&[ContainerPort]>) -> Option<Vec<(Protocol, u16, u16)>> {
    let mut ranges = Vec::with_capacity(rule.ports.len());
    for port in &rule.ports {
        match port.name() {
            None => ranges.push(port.range()),
            Some(name) => {
                let protocol = port.range().0;
                let named =
                    named_ports?.iter().filter(|named| named.protocol == protocol && named.name == name);
                ranges.extend(named.map(|named| (protocol, named.port, named.port)));
            }
        }
    }
    Some(ranges)
}
