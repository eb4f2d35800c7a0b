//! What would help somebody whose request Kubernetes refuses with an empty list.

use super::index::Index;
use crate::rbac::{self, Requester, User};
use crate::text::quote;

/// Warnings about policies that nobody can use, because they cannot be built.
pub(super) fn about_unusable_policies(index: &Index) -> impl Iterator<Item = String> {
    index.policies().iter().filter_map(|(name, built)| {
        let error = built.as_ref().err()?;
        Some(format!("PodSecurityPolicy {} is skipped: {error}", quote(name)))
    })
}

/// Why nobody that was asked for may use any policy, and which grants come nearest.
pub(super) fn about_missing_grants(
    rbac: &rbac::Index,
    requester: &Requester<'_>,
    granted: &[String],
) -> Vec<String> {
    let who = who(requester);
    if !granted.is_empty() {
        let names: Vec<String> = granted.iter().map(|name| quote(name)).collect();
        return vec![format!(
            "{who} may use {}, but there is no such PodSecurityPolicy that is usable",
            names.join(", ")
        )];
    }
    let mut warnings = vec![format!(
        "{who} may use no PodSecurityPolicy in namespace {}: no binding grants the verb \"use\" on podsecuritypolicies",
        quote(requester.namespace)
    )];
    warnings.extend(rbac.use_hints(requester));
    warnings
}

/// Everybody that was asked for, in Kubernetes' order.
fn who(requester: &Requester<'_>) -> String {
    let User { name, groups } = requester.user;
    let mut user = format!("user {}", quote(name));
    if !groups.is_empty() {
        user.push_str(&format!(" (groups {})", groups.join(", ")));
    }
    if requester.service_account.is_empty() {
        return format!("{user}, for a pod that names no service account,");
    }
    let account = quote(&format!("{}/{}", requester.namespace, requester.service_account));
    format!("neither service account {account} nor {user}")
}
