//! Whether a rule covers an action. From `pkg/apis/rbac/v1/evaluation_helpers.go` and `RuleAllows`.

use super::Action;
use crate::object::PolicyRule;

/// Whether `rule` covers `action`.
pub(super) fn allows(rule: &PolicyRule, action: &Action<'_>) -> bool {
    match *action {
        Action::Resource { verb, namespace: _, api_group, resource, subresource, name } => {
            covers(rule, verb, api_group, resource, subresource) && name_matches(&rule.resource_names, name)
        }
        Action::NonResource { verb, path } => {
            any_or_star(&rule.verbs, verb) && path_matches(&rule.non_resource_urls, path)
        }
    }
}

/// Whether `rule` covers the verb on the resource, for some name.
pub(super) fn covers(
    rule: &PolicyRule,
    verb: &str,
    api_group: &str,
    resource: &str,
    subresource: &str,
) -> bool {
    any_or_star(&rule.verbs, verb)
        && any_or_star(&rule.api_groups, api_group)
        && resource_matches(&rule.resources, resource, subresource)
}

fn any_or_star(allowed: &[String], asked: &str) -> bool {
    allowed.iter().any(|item| item == "*" || item == asked)
}

/// `*`, `RESOURCE`, `RESOURCE/SUBRESOURCE` or `*/SUBRESOURCE`. A rule for a resource does not cover its subresources.
fn resource_matches(allowed: &[String], resource: &str, subresource: &str) -> bool {
    allowed.iter().any(|item| {
        if item == "*" {
            return true;
        }
        if subresource.is_empty() {
            return item == resource;
        }
        match item.split_once('/') {
            Some(("*", rest)) => rest == subresource || is_combined(item, resource, subresource),
            _ => is_combined(item, resource, subresource),
        }
    })
}

fn is_combined(item: &str, resource: &str, subresource: &str) -> bool {
    item.strip_prefix(resource).and_then(|rest| rest.strip_prefix('/')) == Some(subresource)
}

/// No names mean every name. There is no wildcard: `*` is a name like any other.
fn name_matches(allowed: &[String], name: &str) -> bool {
    allowed.is_empty() || allowed.iter().any(|item| item == name)
}

/// A trailing `*` means every path that begins so; Kubernetes trims all of the trailing stars.
fn path_matches(allowed: &[String], path: &str) -> bool {
    allowed.iter().any(|item| {
        item == "*" || item == path || (item.ends_with('*') && path.starts_with(item.trim_end_matches('*')))
    })
}
