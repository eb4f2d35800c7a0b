//! What Kubernetes' API server refuses, one file a kind. Never stricter: what it took must be taken here.
//!
//! Three classes:
//! - What cannot be given a meaning (a CIDR that is none, a selector that cannot be read) never becomes an object:
//!   [`decode`](super::decode::decode) refuses it.
//! - [`Findings::refused`]: the object can be read, and decisions know what to make of it (of a PodSecurityPolicy with
//!   an unknown rule: nothing), but it is not what anybody meant. A source that owns its objects, such as a folder of
//!   manifests, refuses it; in a cluster it is there, like it or not.
//! - [`Findings::advice`]: the object is well-defined, only not what its author may think. Such objects are taken.
//!
//! Messages are in the words of Kubernetes where those help, and name the value.

pub mod metadata;
pub mod names;
pub mod pod_security_policy;
pub mod rbac;
pub mod selector;

use std::fmt;

use super::Object;
use crate::field::FieldError;

/// What is to be said of an object that could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Reasons not to use it.
    pub refused: Vec<FieldError>,
    /// Reasons to look at it once more.
    pub advice: Vec<FieldError>,
}

/// What Kubernetes' API server would have refused of `object`, beyond what it takes to read it.
pub fn findings(object: &Object) -> Findings {
    let (mut refused, mut advice) = (Errors::default(), Errors::default());
    let name_rule = match object {
        Object::Role(_) | Object::ClusterRole(_) | Object::RoleBinding(_) | Object::ClusterRoleBinding(_) => {
            Some(names::path_segment as fn(&str) -> names::Complaint)
        }
        Object::NetworkPolicy(_) | Object::PodSecurityPolicy(_) => Some(names::dns_subdomain as _),
        // Sheer numbers, and no decision depends on it.
        Object::Namespace(_) | Object::ServiceAccount(_) | Object::Pod(_) | Object::Workload(_) => None,
    };
    if let Some(name_rule) = name_rule {
        let key = object.key();
        metadata::validate(&key.namespace, &key.name, name_rule, &mut advice);
    }
    match object {
        Object::PodSecurityPolicy(policy) => pod_security_policy::validate(policy, &mut refused, &mut advice),
        Object::Role(role) => rbac::role(role, true, &mut advice),
        Object::ClusterRole(role) => rbac::role(role, false, &mut advice),
        Object::RoleBinding(binding) => rbac::binding(binding, true, &mut advice),
        Object::ClusterRoleBinding(binding) => rbac::binding(binding, false, &mut advice),
        Object::Namespace(metadata) => metadata::name_label(metadata, &mut advice),
        Object::ServiceAccount(_) | Object::Pod(_) | Object::Workload(_) | Object::NetworkPolicy(_) => {}
    }
    Findings { refused: refused.into_vec(), advice: advice.into_vec() }
}

/// What is wrong with an object, collected: a reader wants all of it at once.
#[derive(Clone, Debug, Default)]
pub struct Errors(Vec<FieldError>);

impl Errors {
    /// `path` is wrong in this way.
    pub fn push(&mut self, path: impl fmt::Display, message: impl Into<String>) {
        self.0.push(FieldError::new(path, message));
    }

    /// The value at `path` is wrong in this way.
    pub fn invalid(&mut self, path: impl fmt::Display, value: &str, message: impl fmt::Display) {
        self.push(path, format!("{value:?} is not valid: {message}"));
    }

    /// The value at `path` is none of `supported`.
    pub fn unsupported(&mut self, path: impl fmt::Display, value: &str, supported: &[&str]) {
        let supported = supported.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", ");
        self.push(path, format!("{value:?} is not supported; supported values are {supported}"));
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything so far.
    pub fn into_vec(self) -> Vec<FieldError> {
        self.0
    }
}

impl Extend<FieldError> for Errors {
    fn extend<T: IntoIterator<Item = FieldError>>(&mut self, errors: T) {
        self.0.extend(errors);
    }
}

#[cfg(test)]
mod tests;
