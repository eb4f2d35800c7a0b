//! Metadata of the kinds that decide. From `k8s.io/apimachinery/pkg/api/validation`, `ValidateObjectMeta`; of it, the
//! part that concerns what is read here.

use super::names::{self, Complaint};
use super::{Errors, selector};
use crate::object::ObjectMeta;

/// Go's limit for the annotations of an object together.
const ANNOTATIONS_MAX: usize = 256 * 1024;

/// Looks at `metadata`; `name_rule` tells what names the kind may have.
pub fn validate(metadata: &ObjectMeta, name_rule: fn(&str) -> Complaint, errors: &mut Errors) {
    // Whether there is a name has been looked at.
    if !metadata.name.is_empty()
        && let Some(complaint) = name_rule(&metadata.name)
    {
        errors.invalid("metadata.name", &metadata.name, complaint);
    }
    if !metadata.namespace.is_empty()
        && let Some(complaint) = names::dns_label(&metadata.namespace)
    {
        errors.invalid("metadata.namespace", &metadata.namespace, complaint);
    }
    selector::labels(&metadata.labels, "metadata.labels", errors);
    for key in metadata.annotations.keys() {
        if let Some(complaint) = names::qualified_name(&key.to_lowercase()) {
            errors.invalid("metadata.annotations", key, complaint);
        }
    }
    let size: usize = metadata.annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > ANNOTATIONS_MAX {
        errors.push("metadata.annotations", format!("must be no more than {ANNOTATIONS_MAX} bytes together"));
    }
}
