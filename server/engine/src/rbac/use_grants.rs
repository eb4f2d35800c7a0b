//! Which PodSecurityPolicies may somebody `use`?
//!
//! Kubernetes asks its authorizer for one policy after the other, twice each (group `policy`, then `extensions`).
//! Here the answers are kept by subject, so that a request costs a look-up for the user and for each group, however
//! many policies there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use smallvec::SmallVec;

use super::index::Index;
use super::subject::{BySubject, SubjectKey, subjects_of};
use super::{Action, Grant, User};
use crate::object::PolicyRule;
use crate::object::pod_security_policy::CRD_GROUP;

/// The API groups in which `use` of `podsecuritypolicies` counts: the two that Kubernetes asked for, in its order,
/// then that of Gavel's own resource.
pub const USE_GROUPS: [&str; 3] = ["policy", "extensions", CRD_GROUP];

/// The names that some rules grant `use` of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UseSet {
    all: bool,
    names: BTreeSet<String>,
}

impl UseSet {
    /// What these rules grant together.
    pub(super) fn of<'a>(rules: impl Iterator<Item = &'a PolicyRule>) -> Self {
        let mut set = Self::default();
        for rule in rules.filter(|rule| grants_use(rule)) {
            if rule.resource_names.is_empty() {
                set.all = true;
            }
            set.names.extend(rule.resource_names.iter().cloned());
        }
        set
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.names.is_empty()
    }

    /// Whether the policy of this name is in the set.
    pub(super) fn contains(&self, policy: &str) -> bool {
        self.all || self.names.contains(policy)
    }
}

/// `every policy`, or the names: `"a", "b"`.
impl std::fmt::Display for UseSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.all {
            return f.write_str("every PodSecurityPolicy");
        }
        let names: Vec<String> = self.names.iter().map(|name| super::quote(name)).collect();
        f.write_str(&names.join(", "))
    }
}

/// Whether a rule grants `use` of some PodSecurityPolicy, whatever its name.
fn grants_use(rule: &PolicyRule) -> bool {
    USE_GROUPS.iter().any(|group| super::rules::covers(rule, "use", group, "podsecuritypolicies", ""))
}

fn use_action<'a>(namespace: &'a str, policy: &'a str, api_group: &'a str) -> Action<'a> {
    Action::Resource {
        verb: "use",
        namespace,
        api_group,
        resource: "podsecuritypolicies",
        subresource: "",
        name: policy,
    }
}

/// [`UseSet`]s by subject; subjects that may use nothing are left out.
#[derive(Clone, Debug, Default)]
pub(super) struct UseTable {
    sets: BySubject<Arc<UseSet>>,
}

impl UseTable {
    pub(super) fn set(&mut self, subject: SubjectKey, set: UseSet) {
        if set.is_empty() {
            self.sets.remove(&subject);
        } else {
            self.sets.insert(subject, Arc::new(set));
        }
    }
}

/// The PodSecurityPolicies that somebody may use.
#[derive(Clone, Debug, Default)]
pub struct Usable {
    all: bool,
    sets: SmallVec<[Arc<UseSet>; 4]>,
}

impl Usable {
    /// Whether the policy of this name is in the set.
    pub fn contains(&self, policy: &str) -> bool {
        self.all || self.sets.iter().any(|set| set.contains(policy))
    }

    /// Whether every policy is in the set, also those to come.
    pub fn is_everything(&self) -> bool {
        self.all
    }

    /// The names in the set, in the order of their bytes. Not all need exist. When the set
    /// [is everything](Usable::is_everything) these are only the ones that are named besides.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mut names: SmallVec<[&str; 8]> =
            self.sets.iter().flat_map(|set| set.names.iter().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter()
    }

    /// Both sets together.
    #[must_use]
    pub fn union(mut self, other: Self) -> Self {
        self.all |= other.all;
        self.sets.extend(other.sets);
        self
    }
}

impl Index {
    /// The PodSecurityPolicies that `user` may `use` for pods of `namespace`: everything that [`Index::may_use`]
    /// would find a grant for.
    pub fn usable(&self, user: &User, namespace: &str) -> Usable {
        let table = &self.use_table().sets;
        if table.is_empty() {
            return Usable::default();
        }
        let scopes = std::iter::once("").chain((!namespace.is_empty()).then_some(namespace));
        let sets: SmallVec<[Arc<UseSet>; 4]> = scopes
            .flat_map(|scope| subjects_of(user, scope))
            .filter_map(|subject| table.get(subject.key()).cloned())
            .collect();
        Usable { all: sets.iter().any(|set| set.all), sets }
    }

    /// Whether `user` may `use` the PodSecurityPolicy called `policy` for pods of `namespace`, and through which
    /// binding: verb `use` on `podsecuritypolicies` in any of [`USE_GROUPS`].
    pub fn may_use(&self, user: &User, namespace: &str, policy: &str) -> Option<Grant> {
        USE_GROUPS.iter().find_map(|group| self.authorize(user, &use_action(namespace, policy, group)).grant)
    }
}
