//! Who has a label, and who asks for it: so that a selector is held only against those it could match.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;

use crate::object::{LabelSelector, Operator};
use crate::persist::{IdSet, Table};

/// Numbers by hash. Two keys of one hash share their numbers: whoever looks checks what is found.
#[derive(Clone, Debug, Default)]
pub(super) struct Postings {
    table: Table<(u64, IdSet)>,
}

impl Postings {
    pub(super) fn get(&self, hash: u64) -> Option<&IdSet> {
        self.table.find(hash, |(other, _)| *other == hash).map(|(_, ids)| ids)
    }

    pub(super) fn insert(&mut self, hash: u64, id: u32) {
        if let Some((_, ids)) = self.table.find_mut(hash, |(other, _)| *other == hash) {
            ids.insert(id);
        } else {
            let mut ids = IdSet::default();
            ids.insert(id);
            self.table.insert(hash, (hash, ids), |(hash, _)| *hash);
        }
    }

    pub(super) fn remove(&mut self, hash: u64, id: u32) {
        let Some((_, ids)) = self.table.find_mut(hash, |(other, _)| *other == hash) else { return };
        ids.remove(id);
        if ids.is_empty() {
            self.table.remove(hash, |(other, _)| *other == hash);
        }
    }
}

/// Labels of which an object has exactly one when `selector` matches it; none when nothing can be said.
pub(super) fn anchors(selector: &LabelSelector) -> Vec<(&str, &str)> {
    if let Some((key, value)) = selector.match_labels.first_key_value() {
        return vec![(key, value)];
    }
    let Some(requirement) = selector.match_expressions.iter().find(|r| r.operator == Operator::In) else {
        return Vec::new();
    };
    let mut labels: Vec<_> =
        requirement.values.iter().map(|value| (requirement.key.as_str(), value.as_str())).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}

/// Where to look for one label within `scope`.
pub(super) fn label_hash(
    hasher: &RandomState,
    scope: impl Hash,
    key: impl AsRef<[u8]>,
    value: impl AsRef<[u8]>,
) -> u64 {
    hasher.hash_one((scope, key.as_ref(), value.as_ref()))
}

/// Where the selectors of `scope` without anchors are found.
pub(super) fn unanchored_hash(hasher: &RandomState, scope: impl Hash) -> u64 {
    hasher.hash_one((scope, "unanchored"))
}

/// Everywhere a selector is to be found within `scope`.
pub(super) fn anchor_hashes(
    hasher: &RandomState,
    scope: impl Hash + Copy,
    selector: &LabelSelector,
) -> Vec<u64> {
    let anchors = anchors(selector);
    if anchors.is_empty() {
        return vec![unanchored_hash(hasher, scope)];
    }
    anchors.into_iter().map(|(key, value)| label_hash(hasher, scope, key, value)).collect()
}
