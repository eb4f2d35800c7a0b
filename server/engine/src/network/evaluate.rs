//! The evaluation: one leg, one rule, one port.
//!
//! Both the verdict and its explanation come from the two questions in this file, whether a rule's ports and whether
//! its peers match.

use std::net::IpAddr;
use std::sync::Arc;

use super::Index;
use super::decision::{First, FlowDecision, Held, Leg, LegReason, RuleTrace};
use super::ends::{Candidate, Candidates, Resolved, Unborn, Who};
use super::line::{IN_LINE, Line};
use super::policy::{CompiledPolicy, CompiledRule, Direction, PodPeer};
use super::question::{End, FlowError, FlowRequest};
use super::selectors::Scope;
use super::step::{Step, Test};
use crate::object::Protocol;
use crate::persist::IdSet;
use crate::selector;

/// An end with the address it uses.
struct Party<'s> {
    who: Who,
    /// What the question's direction reads of a pod's identity: egress of the source, ingress of the destination.
    line: Option<&'s Line>,
    /// Unset: nobody knows.
    address: Option<IpAddr>,
}

/// A flow between two certain ends.
pub(super) struct Flow<'s> {
    source: Party<'s>,
    destination: Party<'s>,
    /// Both ends are the very same pod.
    within_pod: bool,
    protocol: Protocol,
    port: u16,
}

/// Whether a rule's peers match the other end.
enum PeerMatch {
    Yes,
    No,
    /// No, but an ipBlock might if the address were known.
    UnknownAddress,
}

impl Index {
    /// Decides one flow.
    ///
    /// # Errors
    /// When an end does not exist, or does not stand for one answer: see [`FlowError`].
    pub fn check_flow(&self, request: &FlowRequest<'_>) -> Result<FlowDecision<'_>, FlowError> {
        Ok(self.decide(&self.flow(request)?))
    }

    /// Every rule that [`Index::check_flow`] looks at for this request, egress and ingress: the same evaluation,
    /// without stopping at the first rule that allows.
    ///
    /// # Errors
    /// As [`Index::check_flow`].
    pub fn trace_flow(
        &self,
        request: &FlowRequest<'_>,
    ) -> Result<(Vec<RuleTrace>, Vec<RuleTrace>), FlowError> {
        let flow = self.flow(request)?;
        Ok((self.trace(&flow, Direction::Egress), self.trace(&flow, Direction::Ingress)))
    }

    #[inline]
    fn flow(&self, request: &FlowRequest<'_>) -> Result<Flow<'_>, FlowError> {
        if request.port == 0 {
            return Err(FlowError::new("port", "must be between 1 and 65535"));
        }
        if let (End::Ip(source), End::Ip(destination)) = (&request.source, &request.destination) {
            // What enforcement points ask.
            let ends = (self.by_address(source.to_canonical()), self.by_address(destination.to_canonical()));
            return self.between(ends.0, ends.1, true, request.protocol, request.port);
        }
        let source = self.resolve("source", &request.source)?;
        let destination = self.resolve("destination", &request.destination)?;
        match (source, destination) {
            (Resolved::One(source), Resolved::One(destination)) => {
                self.between(source, destination, true, request.protocol, request.port)
            }
            (source, destination) => {
                self.between_workloads(request, source.into_vec(), destination.into_vec())
            }
        }
    }

    #[inline]
    pub(super) fn decide<'s>(&'s self, flow: &Flow<'s>) -> FlowDecision<'s> {
        let mut unknown_address = false;
        let egress = self.leg(flow, Direction::Egress, &mut unknown_address);
        let ingress = self.leg(flow, Direction::Ingress, &mut unknown_address);
        FlowDecision { egress, ingress, unknown_address }
    }

    #[inline]
    fn leg<'s>(&'s self, flow: &Flow<'s>, direction: Direction, unknown_address: &mut bool) -> Leg<'s> {
        let held = flow.held(direction);
        let (of, isolated, otherwise) = match (&held.who, held.line) {
            (Who::Pod(id), Some(line)) => (Held::Pod(self, *id), line.isolated, LegReason::NotIsolated),
            (Who::Unborn(unborn), _) => {
                let isolated = !unborn.isolating(direction).is_empty();
                (Held::Unborn(Arc::clone(unborn)), isolated, LegReason::NotIsolated)
            }
            (Who::HostNetwork, _) => (Held::Nobody, false, LegReason::HostNetwork),
            (Who::Nobody | Who::Pod(_), _) => (Held::Nobody, false, LegReason::NotAPod),
        };
        let (reason, first) = if flow.within_pod {
            (LegReason::SelfTraffic, First::None)
        } else if !isolated {
            (otherwise, First::None)
        } else {
            let first = match (held.line, &held.who, &flow.other(direction).who) {
                (Some(line), Who::Pod(id), Who::Pod(_) | Who::HostNetwork | Who::Nobody) => {
                    self.first_step(flow, direction, line, *id, unknown_address)
                }
                (_, who, _) => self.first_rule(flow, direction, who, unknown_address),
            };
            (if matches!(first, First::None) { LegReason::NoRule } else { LegReason::Rule }, first)
        };
        Leg { allowed: reason != LegReason::NoRule, reason, isolated, direction, held: of, first }
    }

    /// The first step of a pod's identity that allows the flow. The other end exists.
    #[inline]
    fn first_step(
        &self,
        flow: &Flow<'_>,
        direction: Direction,
        line: &Line,
        id: u32,
        unknown_address: &mut bool,
    ) -> First {
        let mut allows = |place: usize, step: Step| {
            step.fits(flow.protocol, flow.port)
                && self.passes(flow, direction, line, (id, place), step.test(), unknown_address)
        };
        for (place, step) in line.steps().iter().enumerate() {
            if allows(place, *step) {
                return First::Step(place);
            }
        }
        if line.more
            && let Some(identity) = self.identities.get(id)
        {
            let steps = identity.isolation(direction).steps.iter().enumerate().skip(IN_LINE);
            for (place, step) in steps {
                if allows(place, *step) {
                    return First::Step(place);
                }
            }
        }
        First::None
    }

    /// What remains to be asked of a step whose ports fit. `at`: the identity, and the step's place.
    #[inline]
    fn passes(
        &self,
        flow: &Flow<'_>,
        direction: Direction,
        line: &Line,
        at: (u32, usize),
        test: Test,
        unknown_address: &mut bool,
    ) -> bool {
        let other = flow.other(direction);
        match test {
            Test::Anybody => true,
            Test::Every => other.line.is_some(),
            Test::Own(bit) => {
                other.line.is_some_and(|other| other.namespace == line.namespace && other.own >> bit & 1 == 1)
            }
            Test::Namespaces(selector) => {
                let contains = |other: &Line| contains(self.selected_namespaces.get(selector), other.namespace);
                other.line.is_some_and(contains)
            }
            Test::Selected(selector) => match other.who {
                Who::Pod(other) => contains(self.selected.get(selector), other),
                Who::Unborn(_) | Who::HostNetwork | Who::Nobody => false,
            },
            Test::Block(set) => match other.address {
                Some(address) => self.blocks.get(set).is_some_and(|set| set.contains(address)),
                None => {
                    *unknown_address = true;
                    false
                }
            },
            Test::Rule => self.rule_allows(flow, direction, at, unknown_address),
        }
    }

    /// Whether the rule of a step allows the flow.
    #[cold]
    fn rule_allows(
        &self,
        flow: &Flow<'_>,
        direction: Direction,
        (id, step): (u32, usize),
        unknown_address: &mut bool,
    ) -> bool {
        let Some(isolation) = self.identities.get(id).map(|identity| identity.isolation(direction)) else {
            return false;
        };
        isolation.origin(step).is_some_and(|(policy, rule)| {
            let policy = isolation.policies.get(policy);
            policy.is_some_and(|policy| self.allows(flow, direction, policy, rule, unknown_address))
        })
    }

    /// The first rule that allows the flow, where an end does not exist yet.
    #[cold]
    fn first_rule(
        &self,
        flow: &Flow<'_>,
        direction: Direction,
        who: &Who,
        unknown_address: &mut bool,
    ) -> First {
        let found = self.isolating(who, direction).iter().enumerate().find_map(|(place, policy)| {
            let mut rules = 0..policy.rules(direction).len();
            let allows = |rule: &usize| self.allows(flow, direction, policy, *rule, unknown_address);
            Some(First::Rule(place, rules.find(allows)?))
        });
        found.unwrap_or(First::None)
    }

    /// The policies that isolate an end, in order of their names.
    pub(super) fn isolating<'a>(&'a self, who: &'a Who, direction: Direction) -> &'a [Arc<CompiledPolicy>] {
        match who {
            Who::Pod(id) => self.isolating_identity(*id, direction),
            Who::Unborn(unborn) => unborn.isolating(direction),
            Who::HostNetwork | Who::Nobody => &[],
        }
    }

    /// The policies that isolate the pods of an identity, in order of their names.
    pub(super) fn isolating_identity(&self, id: u32, direction: Direction) -> &[Arc<CompiledPolicy>] {
        self.identities.get(id).map_or(&[], |identity| &identity.isolation(direction).policies)
    }

    /// Whether this rule of a policy allows the flow.
    fn allows(
        &self,
        flow: &Flow<'_>,
        direction: Direction,
        policy: &CompiledPolicy,
        rule: usize,
        unknown_address: &mut bool,
    ) -> bool {
        let Some(rule) = policy.rules(direction).get(rule).filter(|rule| self.matches_ports(flow, rule)) else {
            return false;
        };
        let peers = self.matches_peers(flow.other(direction), policy, rule);
        *unknown_address |= matches!(peers, PeerMatch::UnknownAddress);
        matches!(peers, PeerMatch::Yes)
    }

    fn trace(&self, flow: &Flow<'_>, direction: Direction) -> Vec<RuleTrace> {
        let isolating =
            if flow.within_pod { &[] } else { self.isolating(&flow.held(direction).who, direction) };
        let mut traces = Vec::new();
        for (place, policy) in isolating.iter().enumerate() {
            for (index, rule) in policy.rules(direction).iter().enumerate() {
                traces.push(RuleTrace {
                    policy: place,
                    rule: index,
                    peer_matched: matches!(
                        self.matches_peers(flow.other(direction), policy, rule),
                        PeerMatch::Yes
                    ),
                    port_matched: self.matches_ports(flow, rule),
                });
            }
        }
        traces
    }

    /// Whether `other` is one of the rule's peers.
    #[inline]
    fn matches_peers(&self, other: &Party<'_>, policy: &CompiledPolicy, rule: &CompiledRule) -> PeerMatch {
        let is_peer = |peer: &PodPeer| self.matches_peer(other, policy.namespace_id, *peer);
        let pod = rule.anybody || rule.pods.iter().any(is_peer);
        match (&rule.addresses, other.address) {
            _ if pod => PeerMatch::Yes,
            (None, _) => PeerMatch::No,
            (Some(_), None) => PeerMatch::UnknownAddress,
            (Some(addresses), Some(address)) if addresses.set.contains(address) => PeerMatch::Yes,
            (Some(_), Some(_)) => PeerMatch::No,
        }
    }

    /// Whether `other` is this peer of a rule, whose policy lives in the namespace `own`.
    #[inline]
    fn matches_peer(&self, other: &Party<'_>, own: u32, peer: PodPeer) -> bool {
        match (&other.who, other.line) {
            (Who::Pod(id), Some(line)) => match peer {
                PodPeer::Every => true,
                PodPeer::OwnNamespace => line.namespace == own,
                PodPeer::Namespaces(selector) => {
                    contains(self.selected_namespaces.get(selector), line.namespace)
                }
                PodPeer::OwnSelected { selector, .. } | PodPeer::Selected(selector) => {
                    contains(self.selected.get(selector), *id)
                }
            },
            (Who::Unborn(unborn), _) => self.matches_unborn(unborn, own, peer),
            (Who::HostNetwork | Who::Nobody | Who::Pod(_), _) => false,
        }
    }

    fn matches_unborn(&self, unborn: &Unborn, own: u32, peer: PodPeer) -> bool {
        let in_own = unborn.namespace == Some(own);
        let in_selected = |namespaces: u32| {
            let selector = self.namespace_selectors.get(namespaces);
            selector.is_some_and(|selector| selector::matches(&selector.labels, &unborn.namespace_labels))
        };
        match peer {
            PodPeer::Every => true,
            PodPeer::OwnNamespace => in_own,
            PodPeer::Namespaces(selector) => in_selected(selector),
            PodPeer::OwnSelected { selector, .. } | PodPeer::Selected(selector) => {
                self.pod_selectors.get(selector).is_some_and(|selector| {
                    let in_scope = match selector.scope {
                        Scope::Namespace(namespace) => unborn.namespace == Some(namespace),
                        Scope::Namespaces(namespaces) => in_selected(namespaces),
                    };
                    in_scope && unborn.labels.meet(&selector.labels)
                })
            }
        }
    }
}

impl<'s> Flow<'s> {
    /// The end that policies of this direction hold.
    #[inline]
    fn held(&self, direction: Direction) -> &Party<'s> {
        match direction {
            Direction::Egress => &self.source,
            Direction::Ingress => &self.destination,
        }
    }

    /// The end that rules of this direction speak of.
    #[inline]
    fn other(&self, direction: Direction) -> &Party<'s> {
        match direction {
            Direction::Egress => &self.destination,
            Direction::Ingress => &self.source,
        }
    }
}

impl Index {
    /// Whether protocol and port are among the rule's. Named ports are those of the destination, in both directions.
    fn matches_ports(&self, flow: &Flow<'_>, rule: &CompiledRule) -> bool {
        let has_name = |name: &str| match &flow.destination.who {
            Who::Pod(id) => self
                .identities
                .get(*id)
                .is_some_and(|identity| identity.has_named_port(name, flow.protocol, flow.port)),
            Who::Unborn(_) | Who::HostNetwork | Who::Nobody => false,
        };
        rule.ports.is_empty()
            || rule.ports.iter().any(|port| port.matches(flow.protocol, flow.port, has_name))
    }

    /// The flow between two ends, each with the address it would use. `certain`: an end is one pod, not one of several.
    #[inline]
    pub(super) fn between<'s>(
        &'s self,
        source: Candidate<'s>,
        destination: Candidate<'s>,
        certain: bool,
        protocol: Protocol,
        port: u16,
    ) -> Result<Flow<'s>, FlowError> {
        let (from, to) = meet(&source.addresses, &destination.addresses)?;
        let within_pod = certain && source.pod.is_some() && source.pod == destination.pod;
        Ok(Flow {
            source: self.party(source.who, from, Direction::Egress),
            destination: self.party(destination.who, to, Direction::Ingress),
            within_pod,
            protocol,
            port,
        })
    }

    #[inline]
    fn party(&self, who: Who, address: Option<IpAddr>, direction: Direction) -> Party<'_> {
        let line = match who {
            Who::Pod(id) => self.lines.get(id).map(|sides| sides.line(direction)),
            Who::Unborn(_) | Who::HostNetwork | Who::Nobody => None,
        };
        Party { who, line, address }
    }
}

#[inline]
fn contains(set: Option<&IdSet>, id: u32) -> bool {
    set.is_some_and(|set| set.contains(id))
}

/// The addresses two ends use with each other: the destination's first of a family that the source has too. Two
/// addresses that were asked for are taken as they are.
#[inline]
fn meet(
    source: &Candidates<'_>,
    destination: &Candidates<'_>,
) -> Result<(Option<IpAddr>, Option<IpAddr>), FlowError> {
    if let (Candidates::Given(from), Candidates::Given(to)) = (source, destination) {
        return Ok((Some(*from), Some(*to)));
    }
    let (sources, destinations) = (source.as_slice(), destination.as_slice());
    if sources.is_empty() || destinations.is_empty() {
        return Ok((sources.first().copied(), destinations.first().copied()));
    }
    let pair = destinations.iter().find_map(|to| {
        let from = sources.iter().find(|from| from.is_ipv4() == to.is_ipv4())?;
        Some((Some(*from), Some(*to)))
    });
    pair.ok_or_else(|| {
        let list = |addresses: &[IpAddr]| {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
        };
        let (from, to) = (list(sources), list(destinations));
        FlowError::new(
            "destination",
            format!("has {to}, the source {from}: no address family is common to both"),
        )
    })
}
