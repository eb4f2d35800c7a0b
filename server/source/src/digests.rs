//! What a source last told, in as little memory as it takes to tell what is another now: a digest of each object.

use std::cmp::Ordering;
use std::hash::{BuildHasher as _, RandomState};

use gavel_engine::object::Kind;
use gavel_engine::{Object, ObjectKey};

/// Digests of objects by their keys, in the order of these. Two allocations, however many objects there are: many small
/// ones would keep the memory around them from being given back, which objects had while they were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digests {
    entries: Vec<Entry>,
    /// Namespaces and names, one behind the other.
    text: String,
    /// Seeded: whoever writes manifests cannot choose ones that are taken for each other.
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    kind: Kind,
    /// Where in `text` its namespace begins, its name, and where that ends.
    parts: [usize; 3],
    digest: u64,
}

impl Digests {
    /// Nothing yet, to be compared with these.
    pub(crate) fn successor(&self) -> Self {
        Self { hasher: self.hasher.clone(), ..Self::default() }
    }

    /// Takes an object in, whose key comes behind all that are there.
    pub(crate) fn push(&mut self, key: &ObjectKey, object: &Object) {
        let start = self.text.len();
        self.text.push_str(&key.namespace);
        let name = self.text.len();
        self.text.push_str(&key.name);
        let parts = [start, name, self.text.len()];
        self.entries.push(Entry { kind: key.kind, parts, digest: self.hasher.hash_one(object) });
    }

    /// Gives back what was reserved for more.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
        self.text.shrink_to_fit();
    }

    /// Whether the object taken in last was there before, and is the same.
    pub(crate) fn last_is_in(&self, before: &Self) -> bool {
        let Some(last) = self.entries.last() else { return false };
        let found = before.entries.binary_search_by(|entry| before.key(entry).cmp(&self.key(last)));
        found.is_ok_and(|index| before.entries[index].digest == last.digest)
    }

    /// The keys that are not in `next`.
    pub(crate) fn not_in(&self, next: &Self) -> Vec<ObjectKey> {
        let mut others = next.entries.iter().peekable();
        let is_gone = |entry: &&Entry| {
            let key = self.key(entry);
            while others.next_if(|other| next.key(other) < key).is_some() {}
            others.peek().is_none_or(|other| next.key(other).cmp(&key) != Ordering::Equal)
        };
        let object_key = |entry: &Entry| {
            let (kind, namespace, name) = self.key(entry);
            ObjectKey { kind, namespace: namespace.into(), name: name.into() }
        };
        self.entries.iter().filter(is_gone).map(object_key).collect()
    }

    /// In the order of [`ObjectKey`]s.
    fn key(&self, entry: &Entry) -> (Kind, &str, &str) {
        let [namespace, name, end] = entry.parts;
        (entry.kind, &self.text[namespace..name], &self.text[name..end])
    }
}

#[cfg(test)]
mod tests {
    use gavel_engine::object::decode::decode;
    use serde_json::json;

    use super::*;

    fn digests(of: &Digests, pods: &[(&str, &str, &str)]) -> Digests {
        let mut digests = of.successor();
        for (namespace, name, label) in pods {
            let pod = json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"namespace": namespace, "name": name, "labels": {"label": label}},
                "spec": {"containers": [{"name": "c"}]}});
            let object = decode(&pod).unwrap().unwrap();
            digests.push(&object.key(), &object);
        }
        digests.shrink();
        digests
    }

    fn gone(before: &Digests, after: &Digests) -> Vec<String> {
        before.not_in(after).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn tells_what_is_gone_and_what_is_another() {
        let first = digests(&Digests::default(), &[("a", "x", ""), ("a", "y", ""), ("b", "x", "")]);
        assert!(gone(&Digests::default(), &first).is_empty());
        assert_eq!(gone(&first, &first.successor()), ["Pod a/x", "Pod a/y", "Pod b/x"]);
        let next = digests(&first, &[("a", "y", ""), ("a", "z", ""), ("c", "x", "")]);
        assert_eq!(gone(&first, &next), ["Pod a/x", "Pod b/x"]);
        for (pod, is_in) in [
            (("a", "y", ""), true),
            (("a", "y", "other"), false),
            (("a", "z", ""), false),
            (("a", "xay", ""), false),
            (("axa", "y", ""), false),
        ] {
            assert_eq!(digests(&first, &[pod]).last_is_in(&first), is_in, "{pod:?}");
        }
    }
}
