//! RBAC, slow and obvious, straight from its documentation over plain objects. (Flows have their slow evaluator beside
//! the engine's network tests.)

use gavel_engine::Object;
use gavel_engine::object::{Binding, PolicyRule, Subject};

/// Whether some binding grants the verb on a resource in a namespace; no aggregation, no subresources.
pub(crate) fn allows(
    objects: &[Object],
    user: &str,
    groups: &[&str],
    namespace: &str,
    (verb, group, resource, name): (&str, &str, &str, &str),
) -> bool {
    let has = |list: &[String], wanted: &str| list.iter().any(|item| item == "*" || item == wanted);
    let grants = |rules: &[PolicyRule]| {
        rules.iter().any(|rule| {
            has(&rule.verbs, verb)
                && has(&rule.api_groups, group)
                && has(&rule.resources, resource)
                && (rule.resource_names.is_empty() || rule.resource_names.iter().any(|item| item == name))
        })
    };
    let is_asker = |subject: &Subject, namespace: &str| match subject.kind.as_str() {
        "User" => subject.name == user,
        "Group" => groups.contains(&subject.name.as_str()),
        "ServiceAccount" => {
            let of = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
            !of.is_empty() && user == format!("system:serviceaccount:{of}:{}", subject.name)
        }
        _ => false,
    };
    let rules_of = |binding: &Binding, namespace: &str| {
        objects.iter().any(|object| match (object, binding.role_ref.kind.as_str()) {
            (Object::Role(role), "Role") => {
                role.metadata.name == binding.role_ref.name
                    && role.metadata.namespace == namespace
                    && grants(&role.rules)
            }
            (Object::ClusterRole(role), "ClusterRole") => {
                role.metadata.name == binding.role_ref.name && grants(&role.rules)
            }
            _ => false,
        })
    };
    objects.iter().any(|object| match object {
        Object::ClusterRoleBinding(binding) => {
            binding.subjects.iter().any(|subject| is_asker(subject, "")) && rules_of(binding, "")
        }
        Object::RoleBinding(binding) if binding.metadata.namespace == namespace => {
            binding.subjects.iter().any(|subject| is_asker(subject, namespace))
                && rules_of(binding, namespace)
        }
        _ => false,
    })
}
