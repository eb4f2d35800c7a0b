//! Identities: what NetworkPolicy can tell of a pod but its address. Pods alike share one.

use std::hash::BuildHasher;
use std::sync::Arc;

use smallvec::SmallVec;

use super::Index;
use super::isolation::Isolation;
use super::line::Sides;
use super::namespaces::FEW;
use super::packed::PackedLabels;
use super::policy::{CompiledPolicy, Direction};
use super::postings::label_hash;
use super::selectors::{Scope, is_empty};
use crate::object::{ContainerPort, Labels, Protocol};
use crate::persist::IdSet;

/// Namespace, labels and named ports, and what follows from them. What questions read of it is in its
/// [`Line`](super::line::Line)s.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) namespace: u32,
    ingress: Isolation,
    egress: Isolation,
    pub(super) labels: PackedLabels,
    /// In ascending order, none twice.
    ports: Box<[ContainerPort]>,
}

impl Identity {
    pub(super) fn isolation(&self, direction: Direction) -> &Isolation {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// Whether some container calls this port so. Containers of one pod may use a name twice: each of them counts.
    pub(super) fn has_named_port(&self, name: &str, protocol: Protocol, port: u16) -> bool {
        self.ports.iter().any(|named| named.port == port && named.protocol == protocol && named.name == name)
    }

    fn insert(&mut self, policy: &Arc<CompiledPolicy>) {
        if policy.isolates_ingress {
            self.ingress.insert(policy, Direction::Ingress, &self.ports);
        }
        if policy.isolates_egress {
            self.egress.insert(policy, Direction::Egress, &self.ports);
        }
    }

    fn remove(&mut self, policy: &CompiledPolicy) {
        self.ingress.remove(&policy.name);
        self.egress.remove(&policy.name);
    }
}

impl Index {
    /// Changes what isolates an identity.
    fn change_isolation(&mut self, id: u32, change: impl FnOnce(&mut Identity)) {
        let Some(identity) = self.identities.get_mut(id).map(Arc::make_mut) else { return };
        change(identity);
        self.lines.get_mut(id).show(&identity.ingress, &identity.egress);
    }

    /// The number of an identity, which stands for one pod or template more from now on.
    pub(super) fn acquire_identity(
        &mut self,
        namespace: u32,
        labels: &Labels,
        ports: &[ContainerPort],
    ) -> u32 {
        let labels = PackedLabels::new(labels);
        let mut ports: SmallVec<[&ContainerPort; 4]> = ports.iter().collect();
        ports.sort_unstable();
        ports.dedup();
        let hash = self.hasher.hash_one((namespace, &labels, &ports[..]));
        let found = self.identities.find(hash, |other| {
            other.namespace == namespace
                && other.ports.iter().eq(ports.iter().copied())
                && other.labels == labels
        });
        let id = match found {
            Some((id, _)) => id,
            None => {
                let identity = Identity {
                    namespace,
                    ingress: Isolation::default(),
                    egress: Isolation::default(),
                    labels,
                    ports: ports.into_iter().cloned().collect(),
                };
                self.add_identity(hash, identity)
            }
        };
        *self.identity_references.get_mut(id) += 1;
        id
    }

    /// The identity stands for one pod or template less.
    pub(super) fn release_identity(&mut self, id: u32) {
        let references = self.identity_references.get_mut(id);
        *references -= 1;
        if *references == 0 {
            self.remove_identity(id);
        }
    }

    fn add_identity(&mut self, hash: u64, mut identity: Identity) -> u32 {
        let namespace = identity.namespace;
        let selectors = self.selectors_of(namespace, &identity.labels);
        let mut policies: Vec<_> = selectors
            .iter()
            .filter_map(|selector| self.selector_uses.get(*selector))
            .flat_map(|uses| uses.subjects.iter().cloned())
            .collect();
        policies.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        policies.iter().for_each(|policy| identity.insert(policy));
        let narrow = |selector: &&u32| {
            self.pod_selectors.get(**selector).is_some_and(|selector| !is_empty(&selector.labels))
        };
        let selectors: Vec<_> = selectors.iter().filter(narrow).copied().collect();
        let bits = selectors.iter().filter_map(|selector| self.selector_uses.get(*selector)?.bit);
        let own = bits.fold(0, |own, bit| own | 1 << bit);
        let identity = Arc::new(identity);
        let id = self.identities.insert(hash, Arc::clone(&identity));
        *self.lines.get_mut(id) = Sides::new(namespace, own, &identity.ingress, &identity.egress);
        for selector in selectors {
            self.selected.get_mut(selector).insert(id);
        }
        self.enter_namespace(namespace, id);
        id
    }

    /// The identity is one of its namespace, and found there.
    fn enter_namespace(&mut self, id: u32, identity: u32) {
        let Some(namespace) = self.namespace_mut(id) else { return };
        namespace.identities.insert(identity);
        if namespace.identities_are_posted {
            self.post_identity(id, identity);
        } else if namespace.identities.len() > FEW {
            namespace.identities_are_posted = true;
            namespace.identities.clone().iter().for_each(|identity| self.post_identity(id, identity));
        }
    }

    fn post_identity(&mut self, namespace: u32, id: u32) {
        let Some(identity) = self.identities.get(id) else { return };
        for (key, value) in identity.labels.iter() {
            self.identity_labels.insert(label_hash(&self.hasher, namespace, key, value), id);
        }
    }

    fn remove_identity(&mut self, id: u32) {
        let Some(identity) = self.identities.get(id).cloned() else { return };
        for selector in self.selectors_of(identity.namespace, &identity.labels) {
            self.selected.get_mut(selector).remove(id);
        }
        let namespace = self.namespaces.get(identity.namespace);
        if namespace.is_some_and(|namespace| namespace.identities_are_posted) {
            for (key, value) in identity.labels.iter() {
                self.identity_labels.remove(label_hash(&self.hasher, identity.namespace, key, value), id);
            }
        }
        let ports: SmallVec<[&ContainerPort; 4]> = identity.ports.iter().collect();
        let hash = self.hasher.hash_one((identity.namespace, &identity.labels, &ports[..]));
        self.identities.remove(hash, id);
        if let Some(namespace) = self.namespace_mut(identity.namespace) {
            namespace.identities.remove(id);
        }
        self.tidy_namespace(identity.namespace);
    }

    /// The pod selectors, of every scope, that match pods of this namespace with these labels.
    pub(super) fn selectors_of(&self, namespace: u32, labels: &PackedLabels) -> Vec<u32> {
        let mut matching = Vec::new();
        self.matching_pod_selectors(Scope::Namespace(namespace), labels, &mut matching);
        let scopes = self.namespaces.get(namespace).map(|namespace| &namespace.selectors);
        for scope in scopes.into_iter().flat_map(IdSet::iter) {
            self.matching_pod_selectors(Scope::Namespaces(scope), labels, &mut matching);
        }
        matching
    }

    /// Enters a policy at the identities it isolates.
    pub(super) fn isolate(&mut self, policy: &Arc<CompiledPolicy>) {
        for id in self.subjects_of(policy) {
            self.change_isolation(id, |identity| identity.insert(policy));
        }
        self.selector_uses.get_mut(policy.subject).subjects.push(Arc::clone(policy));
    }

    /// Takes a policy out of the identities it isolates.
    pub(super) fn unisolate(&mut self, policy: &Arc<CompiledPolicy>) {
        for id in self.subjects_of(policy) {
            self.change_isolation(id, |identity| identity.remove(policy));
        }
        let subjects = &mut self.selector_uses.get_mut(policy.subject).subjects;
        subjects.retain(|other| !Arc::ptr_eq(other, policy));
    }

    fn subjects_of(&self, policy: &CompiledPolicy) -> Vec<u32> {
        let everybody =
            self.pod_selectors.get(policy.subject).is_some_and(|selector| is_empty(&selector.labels));
        let identities = if everybody {
            self.namespaces.get(policy.namespace_id).map(|namespace| &namespace.identities)
        } else {
            self.selected.get(policy.subject)
        };
        identities.into_iter().flat_map(IdSet::iter).collect()
    }
}
