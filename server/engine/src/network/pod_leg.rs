//! The leg of a pod: its identity's steps, run through.

use std::net::IpAddr;

use super::Index;
use super::decision::{First, Held, Leg, LegReason};
use super::ends::Who;
use super::evaluate::{Flow, Party};
use super::line::{IN_LINE, Line, facts};
use super::policy::Direction;
use super::rules::contains;
use super::step::{Step, Test};
use crate::object::Protocol;

/// What is called at the destination.
#[derive(Clone, Copy)]
pub(super) struct Service {
    pub(super) protocol: Protocol,
    pub(super) port: u16,
}

/// A pod's identity in the direction in which its policies are asked.
#[derive(Clone, Copy)]
pub(super) struct Subject<'f> {
    pub(super) id: u32,
    pub(super) line: &'f Line,
    pub(super) direction: Direction,
}

/// An end that exists, as the rules of the other one see it.
#[derive(Clone, Copy)]
pub(super) struct Peer<'f> {
    /// Its identity, unless it is no pod that policies can tell.
    pub(super) pod: Option<(u32, &'f Line)>,
    /// Unset: nobody knows.
    pub(super) address: Option<&'f IpAddr>,
}

impl Index {
    /// The leg of a pod's identity. The other end exists.
    #[inline(always)]
    pub(super) fn pod_leg(
        &self,
        subject: Subject<'_>,
        other: &Peer<'_>,
        service: Service,
        unknown_address: &mut bool,
    ) -> Leg<'_> {
        let Subject { id, line, direction } = subject;
        let (reason, first) = if line.isolated {
            match self.first_step(subject, other, service, unknown_address) {
                Some(step) => (LegReason::Rule, First::Step(step)),
                None => (LegReason::NoRule, First::None),
            }
        } else {
            (LegReason::NotIsolated, First::None)
        };
        Leg {
            allowed: reason != LegReason::NoRule,
            reason,
            isolated: line.isolated,
            direction,
            held: Held::Pod(self, id),
            first,
        }
    }

    /// The first step of a pod's identity that allows the flow.
    #[inline(always)]
    fn first_step(
        &self,
        subject: Subject<'_>,
        other: &Peer<'_>,
        service: Service,
        unknown_address: &mut bool,
    ) -> Option<u32> {
        let line = subject.line;
        let facts = facts(other.pod.map(|(_, line)| line), line.namespace);
        let mut passing = line.run(facts, service.protocol, service.port);
        while passing != 0 {
            let place = passing.trailing_zeros();
            let step = line.step(place as usize);
            if step.is_fact() || self.passes(subject, other, service, (place, step), unknown_address) {
                return Some(place);
            }
            passing &= passing.wrapping_sub(1);
        }
        if line.more { self.first_step_beyond(subject, other, service, facts, unknown_address) } else { None }
    }

    /// The same for the steps that a line has no room for.
    #[inline(never)]
    fn first_step_beyond(
        &self,
        subject: Subject<'_>,
        other: &Peer<'_>,
        service: Service,
        facts: u64,
        unknown_address: &mut bool,
    ) -> Option<u32> {
        let steps = &self.identities.get(subject.id)?.isolation(subject.direction).steps;
        let mut steps = (0..).zip(steps).skip(IN_LINE);
        let first = steps.find(|(place, step)| {
            step.passes_so_far(facts, service.protocol, service.port) != 0
                && (step.is_fact() || self.passes(subject, other, service, (*place, **step), unknown_address))
        });
        first.map(|(place, _)| place)
    }

    /// What remains to be asked of a step that is no fact and whose ports fit.
    #[inline(never)]
    fn passes(
        &self,
        subject: Subject<'_>,
        other: &Peer<'_>,
        service: Service,
        (place, step): (u32, Step),
        unknown_address: &mut bool,
    ) -> bool {
        match step.test() {
            // Whoever asks has looked.
            Test::Fact(_) => true,
            Test::Namespaces(selector) => other
                .pod
                .is_some_and(|(_, line)| contains(self.selected_namespaces.get(selector), line.namespace)),
            Test::Selected(selector) => {
                other.pod.is_some_and(|(id, _)| contains(self.selected.get(selector), id))
            }
            Test::Block(set) => match other.address {
                Some(address) => self.blocks.get(set).is_some_and(|set| set.contains(address.to_canonical())),
                None => {
                    *unknown_address = true;
                    false
                }
            },
            Test::Rule => self.rule_allows(subject, other, service, place, unknown_address),
        }
    }

    /// Whether the rule of a step allows the flow.
    #[cold]
    fn rule_allows(
        &self,
        subject: Subject<'_>,
        other: &Peer<'_>,
        service: Service,
        place: u32,
        unknown_address: &mut bool,
    ) -> bool {
        let Some(identity) = self.identities.get(subject.id) else { return false };
        let isolation = identity.isolation(subject.direction);
        let Some((policy, rule)) = isolation.origin(place) else { return false };
        let who = other.pod.map_or(Who::Nobody, |(id, _)| Who::Pod(id));
        let own = Party { who: Who::Pod(subject.id), line: Some(subject.line), address: None };
        let other = Party { who, line: other.pod.map(|(_, line)| line), address: other.address };
        let (source, destination) = match subject.direction {
            Direction::Egress => (own, other),
            Direction::Ingress => (other, own),
        };
        let flow = Flow { source, destination, within_pod: false, service };
        let policy = isolation.policies.get(policy);
        policy.is_some_and(|policy| self.allows(&flow, subject.direction, policy, rule, unknown_address))
    }
}
