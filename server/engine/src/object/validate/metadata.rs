//! Names of the kinds that decide. From `k8s.io/apimachinery/pkg/api/validation`, `ValidateObjectMeta`.
//!
//! Advice: whatever an object is called, it is clear which one is meant.

use super::Errors;
use super::names::{self, Complaint};
use crate::object::ObjectMeta;

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

/// The label that an API server gives every namespace, with its name (`SetDefaults_Namespace` of `pkg/apis/core/v1`).
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A namespace has the labels it is written with. Without any, it has the one that an API server would give it; with
/// some, of which that is none, its author may count on it all the same.
pub fn name_label(metadata: &ObjectMeta, advice: &mut Errors) {
    if !metadata.labels.is_empty() && !metadata.labels.contains_key(NAME_LABEL) {
        advice.push(
            "metadata.labels",
            format!(
                "an API server would add {NAME_LABEL}; selectors that ask for it do not match as it stands"
            ),
        );
    }
}
