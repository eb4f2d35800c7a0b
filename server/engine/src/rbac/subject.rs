//! Whom bindings name, and tables by it, which are asked several times a request: without allocating.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::User;

/// A persistent table by subject. Its hashes are seeded anew in every process: names come from outside.
pub(super) type BySubject<V> =
    imbl::GenericHashMap<SubjectKey, V, foldhash::fast::RandomState, imbl::shared_ptr::DefaultSharedPtr>;

/// A user or group as named by bindings of one namespace (empty: by ClusterRoleBindings).
///
/// A service account is the user it authenticates as: `MatchesUsername` of `k8s.io/apiserver` compares just that.
#[derive(Clone, Debug)]
pub(super) struct SubjectKey {
    pub namespace: Arc<str>,
    pub is_group: bool,
    pub name: Arc<str>,
}

/// The same, borrowed from a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    namespace: &'a str,
    is_group: bool,
    name: &'a str,
}

impl Subject<'_> {
    /// What a [`BySubject`] is asked for.
    pub(super) fn key(&self) -> &dyn Key {
        self
    }
}

/// What both are found by. (A map is only asked for what its key can be borrowed as, and a `SubjectKey` holds no
/// `Subject` to lend; but it can be seen as this.)
pub(super) trait Key {
    fn parts(&self) -> (&str, bool, &str);
}

impl Key for SubjectKey {
    fn parts(&self) -> (&str, bool, &str) {
        (&self.namespace, self.is_group, &self.name)
    }
}

impl Key for Subject<'_> {
    fn parts(&self) -> (&str, bool, &str) {
        (self.namespace, self.is_group, self.name)
    }
}

impl<'a> Borrow<dyn Key + 'a> for SubjectKey {
    fn borrow(&self) -> &(dyn Key + 'a) {
        self
    }
}

impl PartialEq for dyn Key + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn Key + '_ {}

impl Hash for dyn Key + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialEq for SubjectKey {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for SubjectKey {}

impl Hash for SubjectKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

/// Under what a user's bindings are found in a namespace: the user, and each of its groups.
pub(super) fn subjects_of<'a>(user: &'a User, namespace: &'a str) -> impl Iterator<Item = Subject<'a>> {
    std::iter::once((false, user.name.as_str()))
        .chain(user.groups.iter().map(|group| (true, group.as_str())))
        .map(move |(is_group, name)| Subject { namespace, is_group, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_borrowed_finds_what_is_kept() {
        let mut table = BySubject::default();
        let key = |namespace: &str, is_group, name: &str| SubjectKey {
            namespace: namespace.into(),
            is_group,
            name: name.into(),
        };
        for (number, key) in
            [key("", false, "a"), key("a", false, ""), key("", true, "a"), key("ns", false, "a")]
                .into_iter()
                .enumerate()
        {
            table.insert(key, number);
        }
        let user = User { name: "a".into(), groups: vec!["a".into(), "b".into()] };
        let found = |namespace| -> Vec<_> {
            subjects_of(&user, namespace).map(|subject| table.get(subject.key()).copied()).collect()
        };
        assert_eq!(found(""), [Some(0), Some(2), None]);
        assert_eq!(found("ns"), [Some(3), None, None]);
        assert_eq!(found("a"), [None, None, None]);
    }
}
