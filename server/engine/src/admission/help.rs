//! What would help somebody whose request Kubernetes refuses with an empty list.

use std::sync::Arc;

use super::index::Index;
use crate::rbac::{self, Requester, User};
use crate::text::quote;

/// Warnings about policies that nobody can use, because they cannot be built.
pub(super) fn about_unusable_policies(index: &Index) -> impl Iterator<Item = String> {
    let skipped = |(name, error): (&Arc<str>, &Arc<str>)| {
        format!("PodSecurityPolicy {} is skipped: {error}", quote(name))
    };
    index.unusable().iter().map(skipped)
}

/// Why nobody that was asked for may use any policy, and which grants come nearest.
pub(super) fn about_missing_grants(
    rbac: &rbac::Index,
    requester: &Requester<'_>,
    granted: &[String],
) -> Vec<String> {
    let asked = asked(requester);
    if !granted.is_empty() {
        let names: Vec<String> = granted.iter().map(|name| quote(name)).collect();
        let names = names.join(", ");
        return vec![format!(
            "{asked}: use of {names} is granted, but there is no such PodSecurityPolicy that is usable"
        )];
    }
    let mut warnings = vec![format!(
        "{asked}: nothing grants them the verb \"use\" on any PodSecurityPolicy in namespace {}",
        quote(requester.namespace)
    )];
    warnings.extend(rbac.use_hints(requester));
    warnings
}

/// Everybody that was asked for, in Kubernetes' order.
fn asked(requester: &Requester<'_>) -> String {
    let User { name, groups } = requester.user;
    let mut asked = "asked for ".to_owned();
    if !requester.service_account.is_empty() {
        let account = quote(&format!("{}/{}", requester.namespace, requester.service_account));
        asked.push_str(&format!("the pod's service account {account} and for "));
    }
    asked.push_str(&format!("the user {}", quote(name)));
    if !groups.is_empty() {
        asked.push_str(&format!(" (groups {})", groups.join(", ")));
    }
    asked
}
