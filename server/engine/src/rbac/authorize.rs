//! The RBAC question itself. From `RBACAuthorizer.Authorize` and `DefaultRuleResolver.VisitRulesFor`.

use super::index::{BindingKey, Index, service_account_namespace};
use super::{Action, Authorization, Grant, User, quote, rules};
use crate::object::{Binding, Subject};

impl Index {
    /// Answers an RBAC question: ClusterRoleBindings first, then the RoleBindings of the action's namespace, each in
    /// the order of their names (of which Kubernetes' own order is unspecified).
    pub fn authorize(&self, user: &User, action: &Action<'_>) -> Authorization {
        let namespace = match *action {
            Action::Resource { namespace, .. } => namespace,
            Action::NonResource { .. } => "",
        };
        let mut errors = Vec::new();
        let scopes = std::iter::once("").chain((!namespace.is_empty()).then_some(namespace));
        for (key, binding) in scopes.flat_map(|scope| self.bindings_of(user, scope)) {
            match self.rules_of(key, binding) {
                Ok(granted) if granted.iter().any(|rule| rules::allows(rule, action)) => {
                    let grant = grant(key, binding, user);
                    return Authorization {
                        allowed: true,
                        reason: format!("RBAC: allowed by {grant}"),
                        grant: Some(grant),
                    };
                }
                Ok(_) => {}
                Err(error) if errors.contains(&error) => {}
                Err(error) => errors.push(error),
            }
        }
        // utilerrors.NewAggregate: one error is written bare, several in brackets, repeated ones once.
        let reason = match errors.as_slice() {
            [] => String::new(),
            [error] => format!("RBAC: {error}"),
            errors => format!("RBAC: [{}]", errors.join(", ")),
        };
        Authorization { allowed: false, reason, grant: None }
    }
}

/// Describes what a binding grants to a user, by the first of its subjects that is that user.
pub(super) fn grant(key: &BindingKey, binding: &Binding, user: &User) -> Grant {
    let subject = binding
        .subjects
        .iter()
        .find(|subject| applies_to(subject, user, &key.namespace))
        .map(|subject| describe_subject(subject, &key.namespace))
        .unwrap_or_default();
    Grant {
        binding_kind: if key.namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" },
        binding: key.name.to_string(),
        namespace: key.namespace.to_string(),
        role_kind: binding.role_ref.kind.clone(),
        role: binding.role_ref.name.clone(),
        subject,
    }
}

/// Whether a binding names this user, or one of its groups (`appliesTo`).
pub(super) fn names(binding: &Binding, user: &User, namespace: &str) -> bool {
    binding.subjects.iter().any(|subject| applies_to(subject, user, namespace))
}

/// `appliesToUser`.
fn applies_to(subject: &Subject, user: &User, namespace: &str) -> bool {
    match subject.kind.as_str() {
        "User" => user.name == subject.name,
        "Group" => user.groups.contains(&subject.name),
        "ServiceAccount" => service_account_namespace(subject, namespace)
            .is_some_and(|namespace| super::service_account_user_name(namespace, &subject.name) == user.name),
        _ => false,
    }
}

/// `describeSubject`: a service account is called `NAME/NAMESPACE`.
pub(super) fn describe_subject(subject: &Subject, namespace: &str) -> String {
    let Subject { kind, name, .. } = subject;
    if kind == "ServiceAccount" {
        let namespace = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
        format!("{kind} {}", quote(&format!("{name}/{namespace}")))
    } else {
        format!("{kind} {}", quote(name))
    }
}
