//! One rule, one port, asked of the policies themselves: where an end does not exist yet, what a step leaves to its
//! rule, and explanations.

use std::sync::Arc;

use super::Index;
use super::decision::{First, Held, Leg, LegReason, RuleTrace};
use super::ends::{Unborn, Who};
use super::evaluate::{Flow, Party};
use super::policy::{CompiledPolicy, CompiledRule, Direction, PodPeer};
use super::selectors::Scope;
use crate::persist::IdSet;
use crate::selector;

/// Whether a rule's peers match the other end.
enum PeerMatch {
    Yes,
    No,
    /// No, but an ipBlock might if the address were known.
    UnknownAddress,
}

impl Index {
    /// The leg of a flow of which an end does not exist yet: its labels are held against the rules themselves.
    #[inline(never)]
    pub(super) fn unborn_leg<'s>(
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

    /// Whether this rule of a policy allows the flow.
    pub(super) fn allows(
        &self,
        flow: &Flow<'_>,
        direction: Direction,
        policy: &CompiledPolicy,
        rule: usize,
        unknown_address: &mut bool,
    ) -> bool {
        let Some(rule) = policy.rules(direction).get(rule).filter(|rule| self.matches_ports(flow, rule))
        else {
            return false;
        };
        let peers = self.matches_peers(flow.other(direction), policy, rule);
        *unknown_address |= matches!(peers, PeerMatch::UnknownAddress);
        matches!(peers, PeerMatch::Yes)
    }

    pub(super) fn trace(&self, flow: &Flow<'_>, direction: Direction) -> Vec<RuleTrace> {
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
    fn matches_peers(&self, other: &Party<'_>, policy: &CompiledPolicy, rule: &CompiledRule) -> PeerMatch {
        let is_peer = |peer: &PodPeer| self.matches_peer(other, policy.namespace_id, *peer);
        let pod = rule.anybody || rule.pods.iter().any(is_peer);
        match (&rule.addresses, other.address) {
            _ if pod => PeerMatch::Yes,
            (None, _) => PeerMatch::No,
            (Some(_), None) => PeerMatch::UnknownAddress,
            (Some(addresses), Some(address)) if addresses.set.contains(address.to_canonical()) => {
                PeerMatch::Yes
            }
            (Some(_), Some(_)) => PeerMatch::No,
        }
    }

    /// Whether `other` is this peer of a rule, whose policy lives in the namespace `own`.
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

    /// Whether protocol and port are among the rule's. Named ports are those of the destination, in both directions.
    pub(super) fn matches_ports(&self, flow: &Flow<'_>, rule: &CompiledRule) -> bool {
        let has_name = |name: &str| match &flow.destination.who {
            Who::Pod(id) => self.identities.get(*id).is_some_and(|identity| {
                identity.has_named_port(name, flow.service.protocol, flow.service.port)
            }),
            Who::Unborn(_) | Who::HostNetwork | Who::Nobody => false,
        };
        rule.ports.is_empty()
            || rule.ports.iter().any(|port| port.matches(flow.service.protocol, flow.service.port, has_name))
    }
}

#[inline]
pub(super) fn contains(set: Option<&IdSet>, id: u32) -> bool {
    set.is_some_and(|set| set.contains(id))
}
