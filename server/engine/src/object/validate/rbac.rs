//! The four RBAC kinds. From `pkg/apis/rbac/validation/validation.go` of Kubernetes.
//!
//! Kubernetes' authorizer evaluates whatever it is given, also what its API server would have refused, and such an
//! object can only grant less than its author may think. So all of this is advice. The exception are selectors that
//! cannot be read: see [`selectors`].

use super::{Errors, names, selector};
use crate::object::rbac::{AggregationRule, Binding, PolicyRule, Role, Subject};

/// The group that role references, users and groups are in.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// Looks at the selectors of an aggregated ClusterRole: what is wrong here leaves unclear what is granted.
/// From `ValidateClusterRole`, which asks `LabelSelectorAsSelector` too.
pub fn selectors(rule: &AggregationRule, errors: &mut Errors) {
    for (index, selector) in rule.cluster_role_selectors.iter().enumerate() {
        let path = format!("aggregationRule.clusterRoleSelectors[{index}]");
        selector::validate(selector, &path, errors);
        for (at, requirement) in selector.match_expressions.iter().enumerate() {
            for (value_at, value) in requirement.values.iter().enumerate() {
                if let Some(complaint) = names::label_value(value) {
                    errors.invalid(
                        format_args!("{path}.matchExpressions[{at}].values[{value_at}]"),
                        value,
                        complaint,
                    );
                }
            }
        }
    }
}

/// `ValidateRole`, `ValidateClusterRole`.
pub fn role(role: &Role, is_namespaced: bool, errors: &mut Errors) {
    for (index, rule) in role.rules.iter().enumerate() {
        policy_rule(rule, is_namespaced, &format!("rules[{index}]"), errors);
    }
    if role.aggregation_rule.as_ref().is_some_and(|rule| rule.cluster_role_selectors.is_empty()) {
        errors.push(
            "aggregationRule.clusterRoleSelectors",
            "at least one clusterRoleSelector required if aggregationRule is non-nil",
        );
    }
}

/// `ValidatePolicyRule`.
fn policy_rule(rule: &PolicyRule, is_namespaced: bool, path: &str, errors: &mut Errors) {
    if rule.verbs.is_empty() {
        errors.push(format_args!("{path}.verbs"), "verbs must contain at least one value");
    }
    if !rule.non_resource_urls.is_empty() {
        if is_namespaced {
            errors.push(
                format_args!("{path}.nonResourceURLs"),
                "namespaced rules cannot apply to non-resource URLs",
            );
        }
        if !rule.api_groups.is_empty() || !rule.resources.is_empty() || !rule.resource_names.is_empty() {
            errors.push(
                format_args!("{path}.nonResourceURLs"),
                "rules cannot apply to both regular resources and non-resource URLs",
            );
        }
        return;
    }
    if rule.api_groups.is_empty() {
        errors.push(format_args!("{path}.apiGroups"), "resource rules must supply at least one api group");
    }
    if rule.resources.is_empty() {
        errors.push(format_args!("{path}.resources"), "resource rules must supply at least one resource");
    }
}

/// `ValidateRoleBinding`, `ValidateClusterRoleBinding`.
pub fn binding(binding: &Binding, is_namespaced: bool, errors: &mut Errors) {
    let role = &binding.role_ref;
    if role.api_group != GROUP {
        errors.unsupported("roleRef.apiGroup", &role.api_group, &[GROUP]);
    }
    let kinds: &[&str] = if is_namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&role.kind.as_str()) {
        errors.unsupported("roleRef.kind", &role.kind, kinds);
    }
    if role.name.is_empty() {
        errors.push("roleRef.name", "is required");
    } else if let Some(complaint) = names::path_segment(&role.name) {
        errors.invalid("roleRef.name", &role.name, complaint);
    }
    for (index, who) in binding.subjects.iter().enumerate() {
        subject(who, is_namespaced, &format!("subjects[{index}]"), errors);
    }
}

/// `ValidateRoleBindingSubject`.
fn subject(subject: &Subject, is_namespaced: bool, path: &str, errors: &mut Errors) {
    if subject.name.is_empty() {
        errors.push(format_args!("{path}.name"), "is required");
    }
    match subject.kind.as_str() {
        "ServiceAccount" => {
            if !subject.name.is_empty()
                && let Some(complaint) = names::dns_subdomain(&subject.name)
            {
                errors.invalid(format_args!("{path}.name"), &subject.name, complaint);
            }
            if !subject.api_group.is_empty() {
                errors.unsupported(format_args!("{path}.apiGroup"), &subject.api_group, &[""]);
            }
            if !is_namespaced && subject.namespace.is_empty() {
                errors.push(
                    format_args!("{path}.namespace"),
                    "is required of a service account in a ClusterRoleBinding; without it nobody is meant",
                );
            }
        }
        "User" | "Group" => {
            if subject.api_group != GROUP {
                errors.unsupported(format_args!("{path}.apiGroup"), &subject.api_group, &[GROUP]);
            }
        }
        other => {
            errors.unsupported(format_args!("{path}.kind"), other, &["ServiceAccount", "User", "Group"]);
        }
    }
}

#[cfg(test)]
mod tests;
