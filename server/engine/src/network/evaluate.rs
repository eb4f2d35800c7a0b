//! The evaluation: one leg, one rule, one port.
//!
//! Both the verdict and its explanation come from the two questions in this file, whether a rule's ports and whether
//! its peers match.

use std::net::IpAddr;
use std::sync::Arc;

use super::Index;
use super::decision::{First, FlowDecision, Held, Leg, LegReason, RuleTrace};
use super::ends::{Candidate, Candidates, Resolved, Unborn, Who};
use super::line::{IN_LINE, Line, facts};
use super::policy::{CompiledPolicy, CompiledRule, Direction, PodPeer};
use super::question::{End, FlowError, FlowRequest};
use super::selectors::Scope;
use super::step::{Step, Test};
use crate::object::Protocol;
use crate::persist::IdSet;
use crate::selector;

/// An end with the address it uses.
struct Party<'f> {
    who: Who,
    /// What the question's direction reads of a pod's identity: egress of the source, ingress of the destination.
    line: Option<&'f Line>,
    /// Unset: nobody knows.
    address: Option<&'f IpAddr>,
}

/// A flow between two certain ends.
pub(super) struct Flow<'f> {
    source: Party<'f>,
    destination: Party<'f>,
    /// Both ends are the very same pod.
    within_pod: bool,
    service: Service,
}

/// What is called at the destination.
#[derive(Clone, Copy)]
struct Service {
    protocol: Protocol,
    port: u16,
}

/// A pod's identity in the direction in which its policies are asked.
#[derive(Clone, Copy)]
struct Subject<'f> {
    id: u32,
    line: &'f Line,
    direction: Direction,
}

/// An end that exists, as the rules of the other one see it.
#[derive(Clone, Copy)]
struct Peer<'f> {
    /// Its identity, unless it is no pod that policies can tell.
    pod: Option<(u32, &'f Line)>,
    /// Unset: nobody knows.
    address: Option<&'f IpAddr>,
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
        if let (End::Ip(source), End::Ip(destination)) = (&request.source, &request.destination)
            && let Some(decision) = self.between_pods(source, destination, request.protocol, request.port)
        {
            return Ok(decision);
        }
        self.flow(request).map(|flow| self.decide(&flow))
    }

    /// The flow between the addresses of two pods that policies hold: what enforcement points ask most. `None`:
    /// they are not.
    #[inline(always)]
    fn between_pods(
        &self,
        from: &IpAddr,
        to: &IpAddr,
        protocol: Protocol,
        port: u16,
    ) -> Option<FlowDecision<'_>> {
        let (source, destination) = (self.addresses.owner(from)?, self.addresses.owner(to)?);
        let (source_id, destination_id) = (source.identity()?, destination.identity()?);
        let source_line = self.lines.get(source_id)?.line(Direction::Egress);
        let destination_line = self.lines.get(destination_id)?.line(Direction::Ingress);
        if source.pod == destination.pod || port == 0 {
            return None;
        }
        let service = Service { protocol, port };
        let mut unknown_address = false;
        let source = Subject { id: source_id, line: source_line, direction: Direction::Egress };
        let peer = Peer { pod: Some((destination_id, destination_line)), address: Some(to) };
        let egress = self.pod_leg(source, &peer, service, &mut unknown_address);
        let destination =
            Subject { id: destination_id, line: destination_line, direction: Direction::Ingress };
        let peer = Peer { pod: Some((source_id, source_line)), address: Some(from) };
        let ingress = self.pod_leg(destination, &peer, service, &mut unknown_address);
        Some(FlowDecision { egress, ingress, unknown_address })
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

    #[inline(never)]
    fn flow<'f>(&'f self, request: &'f FlowRequest<'_>) -> Result<Flow<'f>, FlowError> {
        if request.port == 0 {
            return Err(FlowError::new("port", "must be between 1 and 65535"));
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

    pub(super) fn decide(&self, flow: &Flow<'_>) -> FlowDecision<'_> {
        let mut unknown_address = false;
        let egress = self.leg(flow, Direction::Egress, &mut unknown_address);
        let ingress = self.leg(flow, Direction::Ingress, &mut unknown_address);
        FlowDecision { egress, ingress, unknown_address }
    }

    fn leg(&self, flow: &Flow<'_>, direction: Direction, unknown_address: &mut bool) -> Leg<'_> {
        let (held, other) = (flow.held(direction), flow.other(direction));
        let pod = match (&held.who, held.line) {
            (Who::Pod(id), Some(line)) => Some(Subject { id: *id, line, direction }),
            _ => None,
        };
        let otherwise = |reason| Leg {
            allowed: true,
            reason,
            isolated: pod.is_some_and(|pod| pod.line.isolated),
            direction,
            held: pod.map_or(Held::Nobody, |pod| Held::Pod(self, pod.id)),
            first: First::None,
        };
        match (&held.who, &other.who) {
            _ if flow.within_pod => otherwise(LegReason::SelfTraffic),
            (Who::HostNetwork, _) => otherwise(LegReason::HostNetwork),
            (Who::Nobody, _) => otherwise(LegReason::NotAPod),
            (_, Who::Unborn(_)) | (Who::Unborn(_), _) => self.unborn_leg(flow, direction, unknown_address),
            (Who::Pod(_), other_who) => {
                let id = match other_who {
                    Who::Pod(id) => Some(*id),
                    Who::Unborn(_) | Who::HostNetwork | Who::Nobody => None,
                };
                let peer = Peer { pod: id.zip(other.line), address: other.address };
                match pod {
                    Some(pod) => self.pod_leg(pod, &peer, flow.service, unknown_address),
                    None => otherwise(LegReason::NotAPod),
                }
            }
        }
    }

    /// The leg of a pod's identity. The other end exists.
    #[inline(always)]
    fn pod_leg(
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
                Some(address) => {
                    self.blocks.get(set).is_some_and(|set| set.contains(address.to_canonical()))
                }
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

    /// The leg of a flow of which an end does not exist yet: its labels are held against the rules themselves.
    #[inline(never)]
    fn unborn_leg<'s>(
        &'s self,
        flow: &Flow<'_>,
        direction: Direction,
        unknown_address: &mut bool,
    ) -> Leg<'s> {
        let who = &flow.held(direction).who;
        let held = match who {
            Who::Pod(id) => Held::Pod(self, *id),
            Who::Unborn(unborn) => Held::Unborn(Arc::clone(unborn)),
            Who::HostNetwork | Who::Nobody => Held::Nobody,
        };
        let isolating = self.isolating(who, direction);
        let first = (0..).zip(isolating).find_map(|(place, policy)| {
            let mut rules = 0..policy.rules(direction).len();
            let allows = |rule: &usize| self.allows(flow, direction, policy, *rule, unknown_address);
            Some(First::Rule(place, rules.find(allows)? as u32))
        });
        let reason = match first {
            _ if isolating.is_empty() => LegReason::NotIsolated,
            Some(_) => LegReason::Rule,
            None => LegReason::NoRule,
        };
        Leg {
            allowed: reason != LegReason::NoRule,
            reason,
            isolated: !isolating.is_empty(),
            direction,
            held,
            first: first.unwrap_or(First::None),
        }
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
            (Some(addresses), Some(address)) if addresses.set.contains(address.to_canonical()) => PeerMatch::Yes,
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
                .is_some_and(|identity| identity.has_named_port(name, flow.service.protocol, flow.service.port)),
            Who::Unborn(_) | Who::HostNetwork | Who::Nobody => false,
        };
        rule.ports.is_empty()
            || rule.ports.iter().any(|port| port.matches(flow.service.protocol, flow.service.port, has_name))
    }

    /// The flow between two ends, each with the address it would use. `certain`: an end is one pod, not one of several.
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
            service: Service { protocol, port },
        })
    }

    fn party<'f>(&'f self, who: Who, address: Option<&'f IpAddr>, direction: Direction) -> Party<'f> {
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
fn meet<'s>(
    source: &Candidates<'s>,
    destination: &Candidates<'s>,
) -> Result<(Option<&'s IpAddr>, Option<&'s IpAddr>), FlowError> {
    if let (Candidates::Given(from), Candidates::Given(to)) = (source, destination) {
        return Ok((Some(from), Some(to)));
    }
    let is_ipv4 = |address: &IpAddr| address.to_canonical().is_ipv4();
    let (sources, destinations) = (source.as_slice(), destination.as_slice());
    if sources.is_empty() || destinations.is_empty() {
        return Ok((sources.first(), destinations.first()));
    }
    let pair = destinations.iter().find_map(|to| {
        let from = sources.iter().find(|from| is_ipv4(from) == is_ipv4(to))?;
        Some((Some(from), Some(to)))
    });
    pair.ok_or_else(|| {
        let list = |addresses: &[IpAddr]| {
            addresses.iter().map(|address| address.to_canonical().to_string()).collect::<Vec<_>>().join(" and ")
        };
        let (from, to) = (list(sources), list(destinations));
        FlowError::new(
            "destination",
            format!("has {to}, the source {from}: no address family is common to both"),
        )
    })
}
