//! RBAC: may this subject do this?
//!
//! From `plugin/pkg/auth/authorizer/rbac` and `pkg/registry/rbac/validation` of Kubernetes v1.24.

use std::sync::Arc;

use crate::object::Change;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// User name; of a service account `system:serviceaccount:NAMESPACE:NAME`.
    pub name: String,
    /// Groups, as they come with the request.
    pub groups: Vec<String>,
}

impl User {
    /// The user that stands for a service account, with the groups PodSecurityPolicy asks with: those of service
    /// accounts alone, without `system:authenticated`.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")],
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// A verb on a resource.
    Resource {
        /// The verb.
        verb: &'a str,
        /// Empty: cluster-wide.
        namespace: &'a str,
        /// Empty: the core group.
        api_group: &'a str,
        /// Plural name.
        resource: &'a str,
        /// Empty: none.
        subresource: &'a str,
        /// Empty: every one.
        name: &'a str,
    },
    /// A verb on a path.
    NonResource {
        /// The verb.
        verb: &'a str,
        /// The path.
        path: &'a str,
    },
}

/// Answer to an RBAC question. RBAC never denies: what is not allowed here, another authorizer might allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Whether some binding grants it.
    pub allowed: bool,
    /// In Kubernetes' words; empty when no binding grants it and nothing went wrong.
    pub reason: String,
    /// The binding behind it, when allowed.
    pub grant: Option<Grant>,
}

/// One binding that grants something to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `RoleBinding` or `ClusterRoleBinding`.
    pub binding_kind: &'static str,
    /// `NAME`, or `NAMESPACE/NAME` of a RoleBinding.
    pub binding: String,
    /// `Role` or `ClusterRole`.
    pub role_kind: String,
    /// Name of the role.
    pub role: String,
    /// The subject that matched, in Kubernetes' words: `User "alice"`, `ServiceAccount "sa/ns"`, …
    pub subject: String,
}

/// RBAC's part of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Index {}

impl Index {
    /// Folds one change in; changes of other kinds are ignored.
    pub(crate) fn apply(&mut self, _change: &Change) {}

    /// Answers an RBAC question.
    pub fn authorize(&self, _user: &User, _action: &Action<'_>) -> Authorization {
        Authorization { allowed: false, reason: String::new(), grant: None }
    }

    /// Whether `user` may `use` the PodSecurityPolicy called `policy` for pods of `namespace`, and through which
    /// binding: verb `use` on `podsecuritypolicies` in any of the groups that had them.
    pub fn may_use(&self, _user: &User, _namespace: &str, _policy: &str) -> Option<Grant> {
        None
    }

    /// Names of the PodSecurityPolicies that `user` may `use` for pods of `namespace`: everything that
    /// [`Index::may_use`] would be true for, without looking at one policy after the other.
    pub fn usable(&self, _user: &User, _namespace: &str) -> Usable {
        Usable::default()
    }
}

/// A set of PodSecurityPolicies that somebody may use.
#[derive(Clone, Debug, Default)]
pub struct Usable {
    grants: Vec<Arc<str>>,
}

impl Usable {
    /// Whether the policy of this name is in the set.
    pub fn contains(&self, policy: &str) -> bool {
        self.grants.iter().any(|name| &**name == policy)
    }
}
