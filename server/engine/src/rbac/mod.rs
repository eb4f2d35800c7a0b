//! RBAC: may this subject do this?
//!
//! From `plugin/pkg/auth/authorizer/rbac`, `pkg/registry/rbac/validation` and `pkg/apis/rbac/v1` of Kubernetes
//! v1.24. Permissions are a union: whatever some binding grants is granted, and nothing is ever denied.
//!
//! - [`index`] keeps the objects and finds a subject's bindings;
//! - [`rules`] tells whether a rule covers an action;
//! - [`aggregate`] fills in aggregated ClusterRoles, as the controller manager does;
//! - [`subject`] is whom bindings name, and how they are found;
//! - [`use_grants`] answers the question PodSecurityPolicy asks: which policies may somebody `use`?
//! - [`hints`] tells what comes nearest when the answer is: none.

mod aggregate;
mod authorize;
mod hints;
mod index;
mod rules;
mod subject;
mod use_grants;

#[cfg(test)]
mod tests;

pub use hints::Requester;
pub use index::Index;
pub use use_grants::{USE_GROUPS, Usable};

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
    /// accounts alone, without `system:authenticated` (`serviceaccount.UserInfo` of `k8s.io/apiserver`).
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self {
            name: service_account_user_name(namespace, name),
            groups: vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")],
        }
    }
}

/// `system:serviceaccount:NAMESPACE:NAME`.
pub(crate) fn service_account_user_name(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
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
    /// Name of the binding.
    pub binding: String,
    /// Namespace of a RoleBinding; empty of a ClusterRoleBinding.
    pub namespace: String,
    /// `Role` or `ClusterRole`.
    pub role_kind: String,
    /// Name of the role.
    pub role: String,
    /// The subject that matched, in Kubernetes' words: `User "alice"`, `ServiceAccount "sa/ns"`, ….
    pub subject: String,
}

/// `roleBindingDescriber.String` and `clusterRoleBindingDescriber.String`: a RoleBinding is called `NAME/NAMESPACE`.
impl std::fmt::Display for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Grant { binding_kind, binding, namespace, role_kind, role, subject } = self;
        if namespace.is_empty() {
            write!(f, "{binding_kind} {} of {role_kind} {} to {subject}", quote(binding), quote(role))
        } else {
            let binding = quote(&format!("{binding}/{namespace}"));
            write!(f, "{binding_kind} {binding} of {role_kind} {} to {subject}", quote(role))
        }
    }
}

/// Go's `%q`, for the texts that Kubernetes builds with it.
pub(crate) fn quote(text: &str) -> String {
    crate::text::quote(text)
}
