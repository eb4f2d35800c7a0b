//! NetworkPolicies come and go.

use std::hash::BuildHasher;
use std::sync::Arc;

use super::Index;
use super::address_set::AddressSet;
use super::policy::{Block, CompiledPolicy, CompiledPort, CompiledRule, PodPeer};
use super::selectors::{Scope, is_empty};
use crate::object::{Kind, LabelSelector, NetworkPolicy, ObjectKey, Peer, Rule};
use crate::snapshot::Diagnostic;

impl Index {
    pub(super) fn upsert_policy(&mut self, policy: &NetworkPolicy) -> Vec<Diagnostic> {
        let namespace = self.ensure_namespace(&policy.namespace);
        let compiled = Arc::new(CompiledPolicy {
            namespace: self.namespaces.get(namespace).map_or_else(Arc::default, |n| Arc::clone(&n.name)),
            name: policy.name.as_str().into(),
            namespace_id: namespace,
            subject: self.acquire_pod_selector(Scope::Namespace(namespace), &policy.pod_selector),
            isolates_ingress: policy.isolates_ingress,
            isolates_egress: policy.isolates_egress,
            ingress: policy.ingress.iter().map(|rule| self.compile(namespace, rule)).collect(),
            egress: policy.egress.iter().map(|rule| self.compile(namespace, rule)).collect(),
        });
        if let Some(namespace) = self.namespace_mut(namespace) {
            namespace.policies += 1;
        }
        // The old policy goes last, so that selectors both use stay.
        let old = self.take_policy(namespace, &policy.name);
        if let Some(old) = &old {
            self.unisolate(old);
        }
        self.isolate(&compiled);
        let hash = self.hasher.hash_one((namespace, policy.name.as_str()));
        let hasher = self.hasher.clone();
        self.policies.insert(hash, compiled, |other| hasher.hash_one((other.namespace_id, &*other.name)));
        if let Some(old) = old {
            self.release_policy(&old);
        }
        diagnose(policy)
    }

    pub(super) fn remove_policy(&mut self, namespace: &str, name: &str) {
        let Some((namespace, _)) = self.find_namespace(namespace) else { return };
        let Some(policy) = self.take_policy(namespace, name) else { return };
        self.unisolate(&policy);
        self.release_policy(&policy);
    }

    fn take_policy(&mut self, namespace: u32, name: &str) -> Option<Arc<CompiledPolicy>> {
        let hash = self.hasher.hash_one((namespace, name));
        self.policies.remove(hash, |policy| policy.namespace_id == namespace && *policy.name == *name)
    }

    /// Gives back all that the policy holds.
    fn release_policy(&mut self, policy: &CompiledPolicy) {
        self.release_pod_selector(policy.subject);
        for peer in policy.peers() {
            match peer {
                PodPeer::Every | PodPeer::OwnNamespace => {}
                PodPeer::OwnSelected { selector, .. } => self.release_pod_selector(selector),
                PodPeer::Namespaces(selector) => self.release_namespace_selector(selector),
                PodPeer::Selected(selector) => {
                    let scope = self.pod_selectors.get(selector).map(|selector| selector.scope);
                    self.release_pod_selector(selector);
                    if let Some(Scope::Namespaces(scope)) = scope {
                        self.release_namespace_selector(scope);
                    }
                }
            }
        }
        for block in policy.blocks() {
            self.release_block(block);
        }
        if let Some(namespace) = self.namespace_mut(policy.namespace_id) {
            namespace.policies -= 1;
        }
        self.tidy_namespace(policy.namespace_id);
    }

    fn compile(&mut self, namespace: u32, rule: &Rule) -> CompiledRule {
        let blocks = || {
            rule.peers.iter().filter_map(|peer| match peer {
                Peer::IpBlock(block) => Some(block),
                Peer::Pods { .. } => None,
            })
        };
        CompiledRule {
            anybody: rule.peers.is_empty(),
            pods: rule
                .peers
                .iter()
                .filter_map(|peer| match peer {
                    Peer::Pods { namespace_selector, pod_selector } => {
                        let pods = pod_selector.as_ref().filter(|selector| !is_empty(selector));
                        Some(self.compile_peer(namespace, namespace_selector.as_ref(), pods))
                    }
                    Peer::IpBlock(_) => None,
                })
                .collect(),
            addresses: blocks().next().map(|_| self.acquire_block(AddressSet::new(blocks()))),
            ports: rule.ports.iter().map(CompiledPort::new).collect(),
        }
    }

    /// `pods` is unset for every pod.
    fn compile_peer(
        &mut self,
        namespace: u32,
        namespaces: Option<&LabelSelector>,
        pods: Option<&LabelSelector>,
    ) -> PodPeer {
        match (namespaces, pods) {
            (None, None) => PodPeer::OwnNamespace,
            (None, Some(pods)) => {
                let selector = self.acquire_pod_selector(Scope::Namespace(namespace), pods);
                PodPeer::OwnSelected { selector, bit: self.ensure_bit(namespace, selector) }
            }
            (Some(namespaces), None) if is_empty(namespaces) => PodPeer::Every,
            (Some(namespaces), None) => PodPeer::Namespaces(self.acquire_namespace_selector(namespaces)),
            (Some(namespaces), Some(pods)) => {
                let scope = self.acquire_namespace_selector(namespaces);
                PodPeer::Selected(self.acquire_pod_selector(Scope::Namespaces(scope), pods))
            }
        }
    }
}

impl Index {
    /// The set's number: rules of the same ipBlocks share one, which keeps what questions read small.
    fn acquire_block(&mut self, set: AddressSet) -> Block {
        let hash = self.hasher.hash_one(&set);
        let found = self.blocks.find(hash, |other| **other == set).map(|(id, set)| (id, Arc::clone(set)));
        let (id, set) = found.unwrap_or_else(|| {
            let set = Arc::new(set);
            (self.blocks.insert(hash, Arc::clone(&set)), set)
        });
        *self.block_references.get_mut(id) += 1;
        Block { id, set }
    }

    fn release_block(&mut self, block: &Block) {
        let references = self.block_references.get_mut(block.id);
        *references -= 1;
        if *references == 0 {
            self.blocks.remove(self.hasher.hash_one(&*block.set), block.id);
        }
    }
}

/// Rules of a direction for which the policy isolates nobody take no part in any decision.
fn diagnose(policy: &NetworkPolicy) -> Vec<Diagnostic> {
    let directions = [
        ("spec.ingress", "Ingress", policy.isolates_ingress, policy.ingress.len()),
        ("spec.egress", "Egress", policy.isolates_egress, policy.egress.len()),
    ];
    let idle = directions.into_iter().filter(|(_, _, isolates, rules)| !isolates && *rules > 0);
    idle.map(|(field, policy_type, _, _)| Diagnostic {
        object: ObjectKey {
            kind: Kind::NetworkPolicy,
            namespace: policy.namespace.as_str().into(),
            name: policy.name.as_str().into(),
        },
        field: field.to_owned(),
        message: format!("has no effect: spec.policyTypes does not contain {policy_type}"),
    })
    .collect()
}
