//! Names of the kinds that decide. From `k8s.io/apimachinery/pkg/api/validation`, `ValidateObjectMeta`.
//!
//! Advice: whatever an object is called, it is clear which one is meant.

use super::Errors;
use super::names::{self, Complaint};

/// Looks at namespace and name; `name_rule` tells what names the kind may have.
pub fn validate(namespace: &str, name: &str, name_rule: fn(&str) -> Complaint, advice: &mut Errors) {
    if let Some(complaint) = name_rule(name) {
        advice.invalid("metadata.name", name, complaint);
    }
    // Empty where the kind has none.
    if !namespace.is_empty()
        && let Some(complaint) = names::dns_label(namespace)
    {
        advice.invalid("metadata.namespace", namespace, complaint);
    }
}
