//! An evaluator that is slow and obvious: for each policy of the namespace, do its selectors match?
//!
//! Straight from the comments of `k8s.io/api/networking/v1`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::network::{End, FlowRequest};
use crate::object::{
    Change, Labels, NetworkPolicy, Object, ObjectKey, Peer, Pod, PolicyPort, PortMatch, Rule,
};
use crate::selector::matches;

/// All there is, as written.
#[derive(Clone, Default)]
pub(super) struct Slow {
    objects: BTreeMap<ObjectKey, Object>,
}

/// One leg: whether it allows; the policies that isolate; policy and rule that allow.
#[derive(Debug, PartialEq)]
pub(super) struct SlowLeg {
    pub(super) allowed: bool,
    pub(super) isolating: Vec<String>,
    pub(super) allowed_by: Option<(usize, usize)>,
}

struct Party<'a> {
    namespace: &'a str,
    /// Unset: no pod that policies hold.
    labels: Option<&'a Labels>,
    pod: Option<&'a Pod>,
    address: Option<IpAddr>,
}

impl Slow {
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Upsert(object) => self.objects.insert(object.key(), object.clone()),
            Change::Remove(key) => self.objects.remove(key),
        };
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.objects.values().filter_map(|object| match object {
            Object::Pod(pod) => Some(pod),
            _ => None,
        })
    }

    fn policies(&self) -> impl Iterator<Item = &NetworkPolicy> {
        self.objects.values().filter_map(|object| match object {
            Object::NetworkPolicy(policy) => Some(policy),
            _ => None,
        })
    }

    fn namespace_labels(&self, name: &str) -> Labels {
        let declared = self.objects.values().find_map(|object| match object {
            Object::Namespace(metadata) if metadata.name == name && !metadata.labels.is_empty() => {
                Some(metadata.labels.clone())
            }
            _ => None,
        });
        declared
            .unwrap_or_else(|| Labels::from([("kubernetes.io/metadata.name".to_owned(), name.to_owned())]))
    }

    fn party<'a>(&'a self, end: &End<'a>) -> Option<Party<'a>> {
        let of_pod = |pod: &'a Pod, address| Party {
            namespace: &pod.namespace,
            labels: (!pod.host_network).then_some(&pod.labels),
            pod: Some(pod),
            address,
        };
        match end {
            End::Ip(address) => {
                let address = Some(*address);
                let mut owners = self.pods().filter(|pod| !pod.terminated);
                let mut owners =
                    owners.by_ref().filter(|pod| pod.addresses.iter().any(|a| Some(*a) == address));
                match (owners.next(), owners.next()) {
                    (Some(pod), None) => Some(of_pod(pod, address)),
                    _ => Some(Party { namespace: "", labels: None, pod: None, address }),
                }
            }
            End::Pod { namespace, name, ip } => {
                let pod = self.pods().find(|pod| pod.namespace == *namespace && pod.name == *name)?;
                Some(of_pod(pod, ip.or(pod.addresses.first().copied().filter(|_| !pod.terminated))))
            }
            End::Labels { namespace, labels } => {
                Some(Party { namespace, labels: Some(labels), pod: None, address: None })
            }
            End::Workload { .. } => None,
        }
    }

    /// Egress and ingress; `None` when an end does not exist. Pods asked for by name have one address at most.
    pub(super) fn check(&self, request: &FlowRequest<'_>) -> Option<[SlowLeg; 2]> {
        let source = self.party(&request.source)?;
        let destination = self.party(&request.destination)?;
        let within_pod = source.pod.is_some()
            && source.pod.map(|pod| (&pod.namespace, &pod.name))
                == destination.pod.map(|pod| (&pod.namespace, &pod.name));
        let leg = |egress: bool| {
            let (held, other) = if egress { (&source, &destination) } else { (&destination, &source) };
            let isolating: Vec<_> = self
                .policies()
                .filter(|policy| {
                    policy.namespace == held.namespace
                        && if egress { policy.isolates_egress } else { policy.isolates_ingress }
                        && held.labels.is_some_and(|labels| matches(&policy.pod_selector, labels))
                })
                .collect();
            let allowed_by = isolating.iter().enumerate().find_map(|(place, policy)| {
                let rules = if egress { &policy.egress } else { &policy.ingress };
                let allows = |rule: &Rule| {
                    self.peers_match(policy, rule, other) && ports_match(rule, request, destination.pod)
                };
                Some((place, rules.iter().position(allows)?))
            });
            SlowLeg {
                allowed: within_pod || isolating.is_empty() || allowed_by.is_some(),
                isolating: isolating.iter().map(|policy| policy.name.clone()).collect(),
                allowed_by: allowed_by.filter(|_| !within_pod),
            }
        };
        Some([leg(true), leg(false)])
    }

    fn peers_match(&self, policy: &NetworkPolicy, rule: &Rule, other: &Party<'_>) -> bool {
        let peer_matches = |peer: &Peer| match peer {
            Peer::IpBlock(block) => other.address.is_some_and(|address| {
                block.cidr.contains(&address) && !block.except.iter().any(|except| except.contains(&address))
            }),
            Peer::Pods { namespace_selector, pod_selector } => other.labels.is_some_and(|labels| {
                let namespace = match namespace_selector {
                    None => other.namespace == policy.namespace,
                    Some(selector) => matches(selector, &self.namespace_labels(other.namespace)),
                };
                namespace && pod_selector.as_ref().is_none_or(|selector| matches(selector, labels))
            }),
        };
        rule.peers.is_empty() || rule.peers.iter().any(peer_matches)
    }
}

fn ports_match(rule: &Rule, request: &FlowRequest<'_>, destination: Option<&Pod>) -> bool {
    let port_matches = |port: &PolicyPort| {
        port.protocol == request.protocol
            && match &port.port {
                PortMatch::All => true,
                PortMatch::Range(first, last) => *first <= request.port && request.port <= *last,
                PortMatch::Name(name) => destination.filter(|pod| !pod.host_network).is_some_and(|pod| {
                    pod.ports.iter().any(|named| {
                        named.name == *name
                            && named.protocol == request.protocol
                            && named.port == request.port
                    })
                }),
            }
    };
    rule.ports.is_empty() || rule.ports.iter().any(port_matches)
}
