//! The RBAC objects of a snapshot, and who is bound by which of them.

use std::sync::Arc;

use super::aggregate;
use super::service_account_user_name;
use super::subject::{BySubject, SubjectKey, subjects_of};
use super::use_grants::{UseSet, UseTable};
use crate::object::{Binding, Change, Kind, Object, ObjectKey, PolicyRule, Role, Subject};

/// RBAC's part of a snapshot. Persistent: a clone shares everything.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// Roles by namespace and name.
    roles: imbl::OrdMap<(Arc<str>, Arc<str>), Arc<Role>>,
    /// ClusterRoles as written.
    cluster_roles: imbl::OrdMap<Arc<str>, Arc<Role>>,
    /// What aggregated ClusterRoles grant.
    aggregated: imbl::OrdMap<Arc<str>, Arc<Vec<PolicyRule>>>,
    /// All bindings, ClusterRoleBindings under the empty namespace.
    bindings: imbl::OrdMap<BindingKey, Arc<Binding>>,
    /// The bindings that name a subject, in the order of their names.
    by_subject: BySubject<Arc<Vec<BindingKey>>>,
    /// The bindings that refer to a role, whether it exists or not.
    by_role: imbl::OrdMap<RoleKey, Arc<Vec<BindingKey>>>,
    /// Which PodSecurityPolicies a subject may use.
    use_table: UseTable,
    /// Service accounts that exist, by namespace and name.
    service_accounts: imbl::OrdSet<(Arc<str>, Arc<str>)>,
}

/// Namespace (empty of a ClusterRoleBinding) and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BindingKey {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

/// A role as referred to by bindings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RoleKey {
    is_cluster_role: bool,
    /// Empty of a ClusterRole.
    namespace: Arc<str>,
    name: Arc<str>,
}

impl Index {
    /// Folds one change in; changes of other kinds are ignored.
    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::Upsert(object) => self.upsert(object),
            Change::Remove(key) => self.remove(key),
        }
    }

    fn upsert(&mut self, object: &Object) {
        match object {
            Object::Role(role) => {
                let (namespace, name): (Arc<str>, Arc<str>) =
                    (role.metadata.namespace.as_str().into(), role.metadata.name.as_str().into());
                self.roles.insert((namespace.clone(), name.clone()), Arc::new(role.clone()));
                self.role_changed(&RoleKey { is_cluster_role: false, namespace, name });
            }
            Object::ClusterRole(role) => {
                let name: Arc<str> = role.metadata.name.as_str().into();
                let before = self.cluster_roles.insert(name.clone(), Arc::new(role.clone()));
                self.cluster_role_changed(&name, before.as_deref(), Some(role));
            }
            Object::RoleBinding(binding) => {
                self.insert_binding(binding, binding.metadata.namespace.as_str().into());
            }
            Object::ClusterRoleBinding(binding) => self.insert_binding(binding, "".into()),
            Object::ServiceAccount(account) => {
                let meta = &account.metadata;
                self.service_accounts.insert((meta.namespace.as_str().into(), meta.name.as_str().into()));
            }
            _ => {}
        }
    }

    fn remove(&mut self, key: &ObjectKey) {
        let ObjectKey { kind, namespace, name } = key;
        match kind {
            Kind::Role => {
                let (namespace, name) = (namespace.clone(), name.clone());
                if self.roles.remove(&(namespace.clone(), name.clone())).is_some() {
                    self.role_changed(&RoleKey { is_cluster_role: false, namespace, name });
                }
            }
            Kind::ClusterRole => {
                if let Some(before) = self.cluster_roles.remove(name) {
                    self.cluster_role_changed(name, Some(&before), None);
                }
            }
            Kind::RoleBinding | Kind::ClusterRoleBinding => {
                self.remove_binding(&BindingKey { namespace: namespace.clone(), name: name.clone() });
            }
            Kind::ServiceAccount => {
                self.service_accounts.remove(&(namespace.clone(), name.clone()));
            }
            _ => {}
        }
    }

    fn insert_binding(&mut self, binding: &Binding, namespace: Arc<str>) {
        let key = BindingKey { namespace, name: binding.metadata.name.as_str().into() };
        self.remove_binding(&key);
        for subject in subject_keys(binding, &key.namespace) {
            add(self.by_subject.entry(subject).or_default(), &key);
        }
        if let Some(role) = role_key(binding, &key.namespace) {
            add(self.by_role.entry(role).or_default(), &key);
        }
        let binding = Arc::new(binding.clone());
        self.bindings.insert(key.clone(), binding.clone());
        self.refresh_use(&binding, &key.namespace);
    }

    fn remove_binding(&mut self, key: &BindingKey) {
        let Some(binding) = self.bindings.remove(key) else { return };
        for subject in subject_keys(&binding, &key.namespace) {
            if self.by_subject.get_mut(&subject).is_some_and(|keys| take(keys, key)) {
                self.by_subject.remove(&subject);
            }
        }
        if let Some(role) = role_key(&binding, &key.namespace)
            && self.by_role.get_mut(&role).is_some_and(|keys| take(keys, key))
        {
            self.by_role.remove(&role);
        }
        self.refresh_use(&binding, &key.namespace);
    }

    /// A ClusterRole came, went or changed: so may the aggregated roles, when it is one or is chosen by one.
    fn cluster_role_changed(&mut self, name: &Arc<str>, before: Option<&Role>, after: Option<&Role>) {
        let aggregates = |role: Option<&Role>| role.is_some_and(|role| role.aggregation_rule.is_some());
        let chosen = |role: Option<&Role>| {
            role.is_some_and(|role| {
                self.aggregated.keys().any(|aggregated| {
                    self.cluster_roles
                        .get(aggregated)
                        .and_then(|role| role.aggregation_rule.as_ref())
                        .is_some_and(|rule| aggregate::chooses(rule, &role.metadata.labels))
                })
            })
        };
        let mut changed = vec![name.clone()];
        if aggregates(before) || aggregates(after) || chosen(before) || chosen(after) {
            let now = aggregate::aggregate(&self.cluster_roles);
            let previously = std::mem::replace(&mut self.aggregated, now);
            let differs = |role: &&Arc<str>| self.aggregated.get(*role) != previously.get(*role);
            changed.extend(self.aggregated.keys().filter(differs).cloned());
        }
        for name in changed {
            self.role_changed(&RoleKey { is_cluster_role: true, namespace: "".into(), name });
        }
    }

    /// The grants of a role changed: so did those of everybody bound to it.
    fn role_changed(&mut self, role: &RoleKey) {
        let Some(keys) = self.by_role.get(role).cloned() else { return };
        for key in keys.iter() {
            if let Some(binding) = self.bindings.get(key).cloned() {
                self.refresh_use(&binding, &key.namespace);
            }
        }
    }

    fn refresh_use(&mut self, binding: &Binding, namespace: &Arc<str>) {
        for subject in subject_keys(binding, namespace) {
            let rules =
                self.by_subject.get(&subject).into_iter().flat_map(|keys| keys.iter()).filter_map(|key| {
                    self.bindings.get(key).and_then(|binding| self.rules_of(key, binding).ok())
                });
            let grants = UseSet::of(rules.flatten());
            self.use_table.set(subject, grants);
        }
    }

    /// The rules that a binding grants.
    ///
    /// # Errors
    /// What Kubernetes' authorizer says of a role that does not exist (`GetRoleReferenceRules`).
    pub(super) fn rules_of(&self, key: &BindingKey, binding: &Binding) -> Result<&[PolicyRule], String> {
        let name = binding.role_ref.name.as_str();
        match binding.role_ref.kind.as_str() {
            "Role" => self
                .roles
                .get(&(key.namespace.clone(), name.into()))
                .map(|role| role.rules.as_slice())
                .ok_or_else(|| format!("role.rbac.authorization.k8s.io {} not found", super::quote(name))),
            "ClusterRole" => match (self.aggregated.get(name), self.cluster_roles.get(name)) {
                (Some(rules), _) => Ok(rules.as_slice()),
                (None, Some(role)) => Ok(role.rules.as_slice()),
                (None, None) => {
                    Err(format!("clusterrole.rbac.authorization.k8s.io {} not found", super::quote(name)))
                }
            },
            other => Err(format!("unsupported role reference kind: {}", super::quote(other))),
        }
    }

    /// The bindings of one namespace (empty: ClusterRoleBindings) that name this user, or one of these groups, in the
    /// order of their names.
    pub(super) fn bindings_of(
        &self,
        user: &super::User,
        namespace: &str,
    ) -> impl Iterator<Item = (&BindingKey, &Arc<Binding>)> {
        let mut keys: Vec<&BindingKey> = subjects_of(user, namespace)
            .filter_map(|subject| self.by_subject.get(subject.key()))
            .flat_map(|keys| keys.iter())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().filter_map(|key| self.bindings.get_key_value(key))
    }

    /// Every binding there is.
    pub(super) fn bindings(&self) -> impl Iterator<Item = (&BindingKey, &Arc<Binding>)> {
        self.bindings.iter()
    }

    /// Which PodSecurityPolicies the subjects of one namespace may use.
    pub(super) fn use_table(&self) -> &UseTable {
        &self.use_table
    }

    /// Whether a service account exists. Kubernetes makes one called `default` in every namespace.
    pub(super) fn service_account_exists(&self, namespace: &str, name: &str) -> bool {
        name == "default" || self.service_accounts.contains(&(namespace.into(), name.into()))
    }
}

/// The users and groups that a binding names (`appliesToUser`). Of other kinds of subject nobody is meant.
fn subject_keys(binding: &Binding, namespace: &Arc<str>) -> Vec<SubjectKey> {
    binding
        .subjects
        .iter()
        .filter_map(|subject| {
            let (is_group, name) = match subject.kind.as_str() {
                "User" => (false, subject.name.as_str().into()),
                "Group" => (true, subject.name.as_str().into()),
                "ServiceAccount" => {
                    let account_namespace = service_account_namespace(subject, namespace)?;
                    (false, service_account_user_name(account_namespace, &subject.name).into())
                }
                _ => return None,
            };
            Some(SubjectKey { namespace: namespace.clone(), is_group, name })
        })
        .collect()
}

/// A service account without namespace is one of the RoleBinding's namespace; in a ClusterRoleBinding it is nobody.
pub(super) fn service_account_namespace<'a>(subject: &'a Subject, namespace: &'a str) -> Option<&'a str> {
    let namespace = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
    (!namespace.is_empty()).then_some(namespace)
}

/// The role that a binding refers to; none when its kind is none of the two.
fn role_key(binding: &Binding, namespace: &Arc<str>) -> Option<RoleKey> {
    let name = binding.role_ref.name.as_str().into();
    match binding.role_ref.kind.as_str() {
        "Role" => Some(RoleKey { is_cluster_role: false, namespace: namespace.clone(), name }),
        "ClusterRole" => Some(RoleKey { is_cluster_role: true, namespace: "".into(), name }),
        _ => None,
    }
}

fn add(keys: &mut Arc<Vec<BindingKey>>, key: &BindingKey) {
    if let Err(position) = keys.binary_search(key) {
        Arc::make_mut(keys).insert(position, key.clone());
    }
}

/// Takes a key out, and tells whether none is left.
fn take(keys: &mut Arc<Vec<BindingKey>>, key: &BindingKey) -> bool {
    if let Ok(position) = keys.binary_search(key) {
        Arc::make_mut(keys).remove(position);
    }
    keys.is_empty()
}
