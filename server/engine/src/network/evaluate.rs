//! The evaluation: one leg, one rule, one port.
//!
//! Both the verdict and its explanation come from the two questions in this file, whether a rule's ports and whether
//! its peers match.

use std::borrow::Cow;
use std::net::IpAddr;

use super::Index;
use super::decision::{FlowDecision, Leg, LegReason, RuleTrace};
use super::ends::{Candidate, Candidates, Resolved, Unborn, Who};
use super::isolation::Test;
use super::policy::{CompiledPolicy, CompiledRule, Direction, PodPeer};
use super::question::{End, FlowError, FlowRequest};
use super::selectors::Scope;
use crate::object::Protocol;
use crate::selector;

/// An end with the address it uses.
struct Party<'s> {
    who: Who<'s>,
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
            return between(ends.0, ends.1, true, request.protocol, request.port);
        }
        let source = self.resolve("source", &request.source)?;
        let destination = self.resolve("destination", &request.destination)?;
        match (source, destination) {
            (Resolved::One(source), Resolved::One(destination)) => {
                between(source, destination, true, request.protocol, request.port)
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
        let isolating = match &flow.held(direction).who {
            Who::Pod(_, identity) => Cow::Borrowed(identity.isolating(direction)),
            Who::Unborn(unborn) => Cow::Owned(unborn.isolating(direction).to_vec()),
            Who::HostNetwork | Who::Nobody => Cow::Borrowed([].as_slice()),
        };
        let (reason, allowed_by) = if flow.within_pod {
            (LegReason::SelfTraffic, None)
        } else if isolating.is_empty() {
            let reason = match &flow.held(direction).who {
                Who::Pod(..) | Who::Unborn(_) => LegReason::NotIsolated,
                Who::HostNetwork => LegReason::HostNetwork,
                Who::Nobody => LegReason::NotAPod,
            };
            (reason, None)
        } else {
            let allowed_by = match &flow.held(direction).who {
                Who::Pod(_, identity) => {
                    let isolation = identity.isolation(direction);
                    let first = isolation.steps.iter().find(|step| {
                        step.fits(flow.protocol, flow.port)
                            && match step.test {
                                Test::Anybody => true,
                                Test::Peer(peer) => {
                                    self.matches_peer(&flow.other(direction).who, identity.namespace, peer)
                                }
                                Test::Rule => {
                                    isolation.policies.get(step.policy as usize).is_some_and(|policy| {
                                        self.allows(
                                            flow,
                                            direction,
                                            policy,
                                            step.rule as usize,
                                            unknown_address,
                                        )
                                    })
                                }
                            }
                    });
                    first.map(|step| (step.policy as usize, step.rule as usize))
                }
                Who::Unborn(_) | Who::HostNetwork | Who::Nobody => {
                    isolating.iter().enumerate().find_map(|(place, policy)| {
                        let mut rules = 0..policy.rules(direction).len();
                        let allows =
                            |rule: &usize| self.allows(flow, direction, policy, *rule, unknown_address);
                        Some((place, rules.find(allows)?))
                    })
                }
            };
            (if allowed_by.is_some() { LegReason::Rule } else { LegReason::NoRule }, allowed_by)
        };
        Leg { allowed: reason != LegReason::NoRule, reason, isolating, allowed_by }
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
        let Some(rule) = policy.rules(direction).get(rule).filter(|rule| flow.matches_ports(rule)) else {
            return false;
        };
        let peers = self.matches_peers(flow.other(direction), policy, rule);
        *unknown_address |= matches!(peers, PeerMatch::UnknownAddress);
        matches!(peers, PeerMatch::Yes)
    }

    fn trace(&self, flow: &Flow<'_>, direction: Direction) -> Vec<RuleTrace> {
        let isolating = match &flow.held(direction).who {
            _ if flow.within_pod => &[],
            Who::Pod(_, identity) => identity.isolating(direction),
            Who::Unborn(unborn) => unborn.isolating(direction),
            Who::HostNetwork | Who::Nobody => &[],
        };
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
                    port_matched: flow.matches_ports(rule),
                });
            }
        }
        traces
    }

    /// Whether `other` is one of the rule's peers.
    #[inline]
    fn matches_peers(&self, other: &Party<'_>, policy: &CompiledPolicy, rule: &CompiledRule) -> PeerMatch {
        let is_peer = |peer: &PodPeer| self.matches_peer(&other.who, policy.namespace_id, *peer);
        let pod = rule.anybody || rule.pods.iter().any(is_peer);
        match (&rule.addresses, other.address) {
            _ if pod => PeerMatch::Yes,
            (None, _) => PeerMatch::No,
            (Some(_), None) => PeerMatch::UnknownAddress,
            (Some(addresses), Some(address)) if addresses.contains(address) => PeerMatch::Yes,
            (Some(_), Some(_)) => PeerMatch::No,
        }
    }

    /// Whether `other` is this peer of a rule, whose policy lives in the namespace `own`.
    #[inline]
    fn matches_peer(&self, other: &Who<'_>, own: u32, peer: PodPeer) -> bool {
        match other {
            Who::Pod(id, identity) => match peer {
                PodPeer::Every => true,
                PodPeer::OwnNamespace => identity.namespace == own,
                PodPeer::OwnSelected(selector) => identity.namespace == own && identity.is_selected(selector),
                PodPeer::Namespaces(selector) => {
                    self.selected_namespaces.get(selector).is_some_and(|set| set.contains(identity.namespace))
                }
                PodPeer::Selected(selector) => {
                    self.selected.get(selector).is_some_and(|set| set.contains(*id))
                }
            },
            Who::Unborn(unborn) => self.matches_unborn(unborn, own, peer),
            Who::HostNetwork | Who::Nobody => false,
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
            PodPeer::OwnSelected(selector) | PodPeer::Selected(selector) => {
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

    /// Whether protocol and port are among the rule's. Named ports are those of the destination, in both directions.
    #[inline]
    fn matches_ports(&self, rule: &CompiledRule) -> bool {
        let has_name = |name: &str| match &self.destination.who {
            Who::Pod(_, identity) => identity.has_named_port(name, self.protocol, self.port),
            Who::Unborn(_) | Who::HostNetwork | Who::Nobody => false,
        };
        rule.ports.is_empty()
            || rule.ports.iter().any(|port| port.matches(self.protocol, self.port, has_name))
    }
}

/// The flow between two ends, each with the address it would use. `certain`: an end is one pod, not one of several.
#[inline]
pub(super) fn between<'s>(
    source: Candidate<'s>,
    destination: Candidate<'s>,
    certain: bool,
    protocol: Protocol,
    port: u16,
) -> Result<Flow<'s>, FlowError> {
    let (from, to) = meet(&source.addresses, &destination.addresses)?;
    let within_pod = certain && source.pod.is_some() && source.pod == destination.pod;
    Ok(Flow {
        source: Party { who: source.who, address: from },
        destination: Party { who: destination.who, address: to },
        within_pod,
        protocol,
        port,
    })
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
