//! What isolates an identity for one direction, laid out to be run through.

use std::sync::Arc;

use super::policy::{CompiledPolicy, CompiledRule, Direction};
use super::step::{Step, Test};
use crate::object::{ContainerPort, Protocol};

/// The policies that isolate an identity for one direction, and all their rules in one piece. The first steps are also
/// in the identity's [`Line`](super::line::Line).
#[derive(Clone, Debug, Default)]
pub(super) struct Isolation {
    /// In order of the policies.
    pub(super) steps: Vec<Step>,
    /// Whose rule each step is: index of the policy, and of the rule in it.
    origins: Vec<(u32, u32)>,
    /// In order of their names.
    pub(super) policies: Vec<Arc<CompiledPolicy>>,
}

/// Rules of more pairs of peers and ports than this are one step.
const MAX_PAIRS: usize = 8;

impl Isolation {
    /// Whose rule a step is: index of the policy, and of the rule in it.
    pub(super) fn origin(&self, step: u32) -> Option<(usize, usize)> {
        self.origins.get(step as usize).map(|(policy, rule)| (*policy as usize, *rule as usize))
    }

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
        let (mut added, mut origins) = (Vec::new(), Vec::new());
        for (index, rule) in policy.rules(direction).iter().enumerate() {
            steps(rule, own_ports, &mut added);
            origins.resize(added.len(), (place as u32, index as u32));
        }
        self.steps.splice(start..start, added);
        self.origins.splice(start..start, origins);
    }

    /// Takes the policy of this name out.
    pub(super) fn remove(&mut self, name: &str) {
        let Ok(place) = self.policies.binary_search_by(|other| (*other.name).cmp(name)) else { return };
        self.policies.remove(place);
        let of = |place: usize| self.origins.partition_point(|(policy, _)| (*policy as usize) < place);
        let gone = of(place)..of(place + 1);
        self.steps.drain(gone.clone());
        self.origins.drain(gone);
        self.shift(place, -1);
    }

    /// The policies from `place` on have moved. Tells where their steps begin.
    fn shift(&mut self, place: usize, by: i32) -> usize {
        let start = self.origins.partition_point(|(policy, _)| (*policy as usize) < place);
        for (policy, _) in &mut self.origins[start..] {
            *policy = policy.saturating_add_signed(by);
        }
        start
    }
}

/// Adds the steps of one rule. Without `named_ports`, names are left to be looked up.
fn steps(rule: &CompiledRule, named_ports: Option<&[ContainerPort]>, steps: &mut Vec<Step>) {
    let whole = Step::new(Test::Rule);
    let Some(ranges) = ranges(rule, named_ports) else { return steps.push(whole) };
    let tests: Vec<_> = if rule.anybody {
        vec![Test::ANYBODY]
    } else {
        let pods = rule.pods.iter().map(|peer| Test::of(*peer));
        pods.chain(rule.addresses.as_ref().map(|block| Test::Block(block.id))).collect()
    };
    let everywhere = rule.ports.is_empty();
    if tests.len() * if everywhere { 1 } else { ranges.len() } > MAX_PAIRS {
        return steps.push(whole);
    }
    let tests = tests.into_iter().map(Step::new);
    if everywhere {
        return steps.extend(tests);
    }
    for (protocol, first_port, last_port) in ranges {
        steps.extend(tests.clone().map(|step| step.on(protocol, first_port, last_port)));
    }
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
