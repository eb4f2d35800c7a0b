//! Namespaces, and the namespace selectors that match them.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use super::Index;
use super::postings::{label_hash, unanchored_hash};
use crate::object::Labels;
use crate::persist::IdSet;
use crate::selector;

/// The label that every namespace of a cluster has, with its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// So many identities or selectors of a namespace are looked through, one by one; of more there is an index. Most
/// namespaces are small, and clusters may have tens of thousands.
pub(super) const FEW: usize = 24;

/// A namespace that an object declares, or that pods or policies imply.
#[derive(Clone, Debug)]
pub(super) struct Namespace {
    pub(super) name: Arc<str>,
    /// There is a Namespace object.
    declared: bool,
    pub(super) labels: Arc<Labels>,
    /// How many policies it has.
    pub(super) policies: u32,
    pub(super) identities: IdSet,
    /// Whether these are found by their labels, in [`Index::identity_labels`]: once there have been more than [`FEW`].
    pub(super) identities_are_posted: bool,
    /// The pod selectors that speak of it alone.
    pub(super) pod_selectors: IdSet,
    /// Whether these are found by what they ask for, in [`Index::pod_selector_anchors`]: once there have been more than
    /// [`FEW`].
    pub(super) pod_selectors_are_posted: bool,
    /// The namespace selectors that match it.
    pub(super) selectors: IdSet,
    /// The bits that its pod selectors have: see [`Line::own`](super::line::Line::own).
    pub(super) bits: u64,
}

/// The labels of a namespace of which no object tells: what the API server would have given it.
pub(super) fn implied_labels(name: &str) -> Labels {
    BTreeMap::from([(NAME_LABEL.to_owned(), name.to_owned())])
}

impl Index {
    pub(super) fn find_namespace(&self, name: &str) -> Option<(u32, &Namespace)> {
        let (id, namespace) =
            self.namespaces.find(self.hasher.hash_one(name), |namespace| *namespace.name == *name)?;
        Some((id, namespace))
    }

    pub(super) fn namespace_mut(&mut self, id: u32) -> Option<&mut Namespace> {
        self.namespaces.get_mut(id).map(Arc::make_mut)
    }

    /// The namespace's number; one that is not known yet is implied.
    pub(super) fn ensure_namespace(&mut self, name: &str) -> u32 {
        if let Some((id, _)) = self.find_namespace(name) {
            return id;
        }
        let namespace = Namespace {
            name: name.into(),
            declared: false,
            labels: Arc::default(),
            policies: 0,
            identities: IdSet::default(),
            identities_are_posted: false,
            pod_selectors: IdSet::default(),
            pod_selectors_are_posted: false,
            selectors: IdSet::default(),
            bits: 0,
        };
        let id = self.namespaces.insert(self.hasher.hash_one(name), Arc::new(namespace));
        self.relabel(id, implied_labels(name));
        id
    }

    /// Forgets the namespace if nothing speaks of it any more.
    pub(super) fn tidy_namespace(&mut self, id: u32) {
        let Some(namespace) = self.namespaces.get(id) else { return };
        if namespace.declared || namespace.policies > 0 || !namespace.identities.is_empty() {
            return;
        }
        let namespace = Arc::clone(namespace);
        for (key, value) in &*namespace.labels {
            self.namespace_labels.remove(label_hash(&self.hasher, (), key, value), id);
        }
        for selector in namespace.selectors.iter() {
            self.selected_namespaces.get_mut(selector).remove(id);
        }
        self.namespaces.remove(self.hasher.hash_one(&*namespace.name), id);
    }

    /// A Namespace object: it has exactly the labels written. One without any was never through an API server, which
    /// gives each its name (`pkg/apis/core/v1/defaults.go`, `SetDefaults_Namespace`), and is what that would make it.
    pub(super) fn declare_namespace(&mut self, name: &str, labels: &Labels) {
        let labels = if labels.is_empty() { implied_labels(name) } else { labels.clone() };
        let id = self.ensure_namespace(name);
        if let Some(namespace) = self.namespace_mut(id) {
            namespace.declared = true;
        }
        self.relabel(id, labels);
    }

    /// The Namespace object is gone; what lives there still implies it.
    pub(super) fn undeclare_namespace(&mut self, name: &str) {
        let Some((id, _)) = self.find_namespace(name) else { return };
        if let Some(namespace) = self.namespace_mut(id) {
            namespace.declared = false;
        }
        self.relabel(id, implied_labels(name));
        self.tidy_namespace(id);
    }

    fn relabel(&mut self, id: u32, labels: Labels) {
        let Some(namespace) = self.namespaces.get(id) else { return };
        if *namespace.labels == labels {
            return;
        }
        let before = Arc::clone(namespace);
        for (key, value) in &*before.labels {
            self.namespace_labels.remove(label_hash(&self.hasher, (), key, value), id);
        }
        for (key, value) in &labels {
            self.namespace_labels.insert(label_hash(&self.hasher, (), key, value), id);
        }
        let after = self.matching_namespace_selectors(&labels);
        for selector in before.selectors.iter().filter(|selector| !after.contains(*selector)) {
            self.selected_namespaces.get_mut(selector).remove(id);
            self.leave_scope(selector, &before.identities);
        }
        for selector in after.iter().filter(|selector| !before.selectors.contains(*selector)) {
            self.selected_namespaces.get_mut(selector).insert(id);
            self.enter_scope(selector, &before.identities);
        }
        if let Some(namespace) = self.namespace_mut(id) {
            namespace.labels = Arc::new(labels);
            namespace.selectors = after;
        }
    }

    /// The namespace selectors that match a namespace with these labels.
    fn matching_namespace_selectors(&self, labels: &Labels) -> IdSet {
        let mut matching = IdSet::default();
        let hashes = labels.iter().map(|(key, value)| label_hash(&self.hasher, (), key, value));
        for hash in hashes.chain([unanchored_hash(&self.hasher, ())]) {
            for id in self.namespace_selector_anchors.get(hash).into_iter().flat_map(IdSet::iter) {
                if let Some(candidate) = self.namespace_selectors.get(id)
                    && selector::matches(&candidate.labels, labels)
                {
                    matching.insert(id);
                }
            }
        }
        matching
    }
}
