//! Selectors, each kept once, with the set of identities (or namespaces) that it matches.

use std::hash::BuildHasher;
use std::sync::Arc;

use super::Index;
use super::namespaces::FEW;
use super::packed::PackedLabels;
use super::policy::CompiledPolicy;
use super::postings::{anchor_hashes, anchors, label_hash, unanchored_hash};
use super::step::OWN_NAMESPACE;
use crate::object::LabelSelector;
use crate::persist::IdSet;
use crate::selector;

/// The namespaces whose pods a pod selector speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// This one, by number.
    Namespace(u32),
    /// Those that match this namespace selector, by number.
    Namespaces(u32),
}

/// A pod selector within a scope. The identities it matches are in [`Index::selected`].
#[derive(Debug)]
pub(super) struct PodSelector {
    pub(super) scope: Scope,
    pub(super) labels: LabelSelector,
}

/// A namespace selector. The namespaces it matches are in [`Index::selected_namespaces`].
#[derive(Clone, Debug)]
pub(super) struct NamespaceSelector {
    pub(super) labels: Arc<LabelSelector>,
    /// The pod selectors whose scope it is.
    pod_selectors: IdSet,
    /// How many peers use it.
    references: u32,
}

/// Who uses a pod selector.
#[derive(Clone, Debug, Default)]
pub(super) struct SelectorUse {
    /// The policies that isolate the pods it matches.
    pub(super) subjects: Vec<Arc<CompiledPolicy>>,
    /// How many policies and peers use it.
    references: u32,
    /// By which bit the lines of the identities it matches tell.
    pub(super) bit: Option<u8>,
}

/// Whether the selector matches everything.
pub(super) fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.is_empty() && selector.match_expressions.is_empty()
}

impl Index {
    /// The number of a namespace selector, which has one more user from now on.
    pub(super) fn acquire_namespace_selector(&mut self, labels: &LabelSelector) -> u32 {
        let hash = self.hasher.hash_one(labels);
        if let Some((id, _)) = self.namespace_selectors.find(hash, |other| *other.labels == *labels) {
            if let Some(selector) = self.namespace_selectors.get_mut(id) {
                selector.references += 1;
            }
            return id;
        }
        let selector = NamespaceSelector {
            labels: Arc::new(labels.clone()),
            pod_selectors: IdSet::default(),
            references: 1,
        };
        let id = self.namespace_selectors.insert(hash, selector);
        for hash in anchor_hashes(&self.hasher, (), labels) {
            self.namespace_selector_anchors.insert(hash, id);
        }
        for namespace in self.matching_namespaces(labels) {
            self.selected_namespaces.get_mut(id).insert(namespace);
            if let Some(namespace) = self.namespace_mut(namespace) {
                namespace.selectors.insert(id);
            }
        }
        id
    }

    /// The namespace selector has one user less.
    pub(super) fn release_namespace_selector(&mut self, id: u32) {
        let Some(selector) = self.namespace_selectors.get_mut(id) else { return };
        selector.references -= 1;
        if selector.references > 0 {
            return;
        }
        let labels = Arc::clone(&selector.labels);
        for hash in anchor_hashes(&self.hasher, (), &labels) {
            self.namespace_selector_anchors.remove(hash, id);
        }
        for namespace in std::mem::take(self.selected_namespaces.get_mut(id)).iter() {
            if let Some(namespace) = self.namespace_mut(namespace) {
                namespace.selectors.remove(id);
            }
        }
        self.namespace_selectors.remove(self.hasher.hash_one(&*labels), id);
    }

    /// The number of a pod selector, which has one more user from now on.
    pub(super) fn acquire_pod_selector(&mut self, scope: Scope, labels: &LabelSelector) -> u32 {
        let hash = self.hasher.hash_one((scope, labels));
        let found = self.pod_selectors.find(hash, |other| other.scope == scope && other.labels == *labels);
        if let Some((id, _)) = found {
            self.selector_uses.get_mut(id).references += 1;
            return id;
        }
        let selector = PodSelector { scope, labels: labels.clone() };
        let id = self.pod_selectors.insert(hash, Arc::new(selector));
        self.selector_uses.get_mut(id).references = 1;
        self.enter_pod_selector(scope, id);
        // Who matches everything is found in the scope itself.
        if !is_empty(labels) {
            for identity in self.matching_identities(scope, labels) {
                self.selected.get_mut(id).insert(identity);
            }
        }
        id
    }

    /// The pod selector is one of its scope, and found there.
    fn enter_pod_selector(&mut self, scope: Scope, id: u32) {
        match scope {
            Scope::Namespaces(namespaces) => {
                if let Some(namespaces) = self.namespace_selectors.get_mut(namespaces) {
                    namespaces.pod_selectors.insert(id);
                }
                self.post_pod_selector(id);
            }
            Scope::Namespace(namespace) => {
                let Some(namespace) = self.namespace_mut(namespace) else { return };
                namespace.pod_selectors.insert(id);
                if namespace.pod_selectors_are_posted {
                    self.post_pod_selector(id);
                } else if namespace.pod_selectors.len() > FEW {
                    namespace.pod_selectors_are_posted = true;
                    namespace.pod_selectors.clone().iter().for_each(|id| self.post_pod_selector(id));
                }
            }
        }
    }

    fn post_pod_selector(&mut self, id: u32) {
        let Some(selector) = self.pod_selectors.get(id) else { return };
        for hash in anchor_hashes(&self.hasher, selector.scope, &selector.labels) {
            self.pod_selector_anchors.insert(hash, id);
        }
    }

    /// The pod selector is no longer found in its scope.
    fn leave_pod_selector(&mut self, selector: &PodSelector, id: u32) {
        let is_posted = match selector.scope {
            Scope::Namespaces(namespaces) => {
                if let Some(namespaces) = self.namespace_selectors.get_mut(namespaces) {
                    namespaces.pod_selectors.remove(id);
                }
                true
            }
            Scope::Namespace(namespace) => self.namespace_mut(namespace).is_some_and(|namespace| {
                namespace.pod_selectors.remove(id);
                namespace.pod_selectors_are_posted
            }),
        };
        if is_posted {
            for hash in anchor_hashes(&self.hasher, selector.scope, &selector.labels) {
                self.pod_selector_anchors.remove(hash, id);
            }
        }
    }

    /// The pod selector has one user less.
    pub(super) fn release_pod_selector(&mut self, id: u32) {
        let uses = self.selector_uses.get_mut(id);
        uses.references -= 1;
        if uses.references > 0 {
            return;
        }
        let bit = std::mem::take(uses).bit;
        let Some(selector) = self.pod_selectors.get(id).cloned() else { return };
        self.leave_pod_selector(&selector, id);
        let selected = std::mem::take(self.selected.get_mut(id));
        if let (Some(bit), Scope::Namespace(namespace)) = (bit, selector.scope) {
            selected.iter().for_each(|identity| self.lines.get_mut(identity).select(bit, false));
            if let Some(namespace) = self.namespace_mut(namespace) {
                namespace.bits &= !(1 << bit);
            }
        }
        self.pod_selectors.remove(self.hasher.hash_one((selector.scope, &selector.labels)), id);
    }

    /// The bit by which the identities of a namespace tell whether a pod selector of that namespace matches them; none
    /// if all are taken.
    pub(super) fn ensure_bit(&mut self, namespace: u32, selector: u32) -> Option<u8> {
        if let Some(bit) = self.selector_uses.get(selector)?.bit {
            return Some(bit);
        }
        let bits = &mut self.namespace_mut(namespace)?.bits;
        let bit = bits.trailing_ones();
        if bit >= OWN_NAMESPACE {
            return None;
        }
        *bits |= 1 << bit;
        let bit = bit as u8;
        self.selector_uses.get_mut(selector).bit = Some(bit);
        for identity in self.selected.get(selector).into_iter().flat_map(IdSet::iter) {
            self.lines.get_mut(identity).select(bit, true);
        }
        Some(bit)
    }

    /// The pod selectors of `scope` that match these labels, in ascending order.
    pub(super) fn matching_pod_selectors(
        &self,
        scope: Scope,
        labels: &PackedLabels,
        matching: &mut Vec<u32>,
    ) {
        let matches = |id: &u32| {
            self.pod_selectors
                .get(*id)
                .is_some_and(|candidate| candidate.scope == scope && labels.meet(&candidate.labels))
        };
        let in_use = match scope {
            Scope::Namespace(id) => {
                let Some(namespace) = self.namespaces.get(id) else { return };
                if !namespace.pod_selectors_are_posted {
                    matching.extend(namespace.pod_selectors.iter().filter(matches));
                    return;
                }
                !namespace.pod_selectors.is_empty()
            }
            Scope::Namespaces(id) => {
                self.namespace_selectors.get(id).is_some_and(|selector| !selector.pod_selectors.is_empty())
            }
        };
        if !in_use {
            return;
        }
        let start = matching.len();
        let hashes = labels.iter().map(|(key, value)| label_hash(&self.hasher, scope, key, value));
        for hash in hashes.chain([unanchored_hash(&self.hasher, scope)]) {
            for id in self.pod_selector_anchors.get(hash).into_iter().flat_map(IdSet::iter) {
                if matches(&id) && !matching[start..].contains(&id) {
                    matching.push(id);
                }
            }
        }
    }

    /// The identities that a namespace selector newly speaks of: its pod selectors may match them.
    pub(super) fn enter_scope(&mut self, namespace_selector: u32, identities: &IdSet) {
        let mut matching = Vec::new();
        for identity in identities.iter() {
            let Some(found) = self.identities.get(identity).map(Arc::clone) else {
                continue;
            };
            matching.clear();
            self.matching_pod_selectors(Scope::Namespaces(namespace_selector), &found.labels, &mut matching);
            for selector in &matching {
                self.selected.get_mut(*selector).insert(identity);
            }
        }
    }

    /// The identities that a namespace selector no longer speaks of.
    pub(super) fn leave_scope(&mut self, namespace_selector: u32, identities: &IdSet) {
        let Some(selector) = self.namespace_selectors.get(namespace_selector) else { return };
        for selector in selector.pod_selectors.clone().iter() {
            for identity in identities.iter() {
                self.selected.get_mut(selector).remove(identity);
            }
        }
    }

    fn matching_namespaces(&self, labels: &LabelSelector) -> Vec<u32> {
        let matches = |id: &u32| {
            self.namespaces.get(*id).is_some_and(|namespace| selector::matches(labels, &namespace.labels))
        };
        let anchors = anchors(labels);
        if anchors.is_empty() {
            return self.namespaces.iter().map(|(id, _)| id).filter(matches).collect();
        }
        let postings = anchors
            .into_iter()
            .filter_map(|(key, value)| self.namespace_labels.get(label_hash(&self.hasher, (), key, value)));
        postings.flat_map(IdSet::iter).filter(matches).collect()
    }

    fn matching_identities(&self, scope: Scope, labels: &LabelSelector) -> Vec<u32> {
        let mut matching = Vec::new();
        let anchors = anchors(labels);
        let mut within = |namespace: u32| {
            let matches =
                |id: &u32| self.identities.get(*id).is_some_and(|identity| identity.labels.meet(labels));
            let Some(found) = self.namespaces.get(namespace) else { return };
            if anchors.is_empty() || !found.identities_are_posted {
                matching.extend(found.identities.iter().filter(matches));
                return;
            }
            for (key, value) in &anchors {
                let labelled = self.identity_labels.get(label_hash(&self.hasher, namespace, key, value));
                matching.extend(labelled.into_iter().flat_map(IdSet::iter).filter(matches));
            }
        };
        match scope {
            Scope::Namespace(namespace) => within(namespace),
            Scope::Namespaces(selector) => {
                self.selected_namespaces.get(selector).into_iter().flat_map(IdSet::iter).for_each(within);
            }
        }
        matching
    }
}
