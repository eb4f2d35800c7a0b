//! An UPDATE that touches only what the garbage collector writes is not looked at: who may do so may delete as well.
//!
//! From `IsOnlyMutatingGCFields` of `pkg/registry/rbac/helpers.go`, over JSON: `apiequality.Semantic` does not tell an
//! empty list or map from none.

use serde_json::{Map, Value};

/// Metadata that does not count. (`managedFields` because the API server writes it along.)
const IGNORED: [&str; 4] = ["ownerReferences", "finalizers", "selfLink", "managedFields"];

/// Fields of a pod that are maps: empty, they are the same as absent. Of other objects (`securityContext: {}`) Go
/// tells empty from absent.
const MAPS: [&str; 7] =
    ["annotations", "labels", "limits", "matchLabels", "nodeSelector", "overhead", "requests"];

/// Whether nothing but such fields differs. What cannot be read differs.
///
/// `ignore_status`: the API server gives an updated pod the status of the old one before it is validated.
pub(super) fn is_only_gc(object: &[u8], old_object: &[u8], ignore_status: bool) -> bool {
    let read = |bytes| serde_json::from_slice::<Value>(bytes).ok().map(|value| strip(value, ignore_status));
    match (read(object), read(old_object)) {
        (Some(new), Some(old)) => new == old,
        _ => false,
    }
}

fn strip(mut object: Value, ignore_status: bool) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| !IGNORED.contains(&key.as_str()));
    }
    if ignore_status && let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    normal(object)
}

fn normal(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: Map<String, Value> = fields
                .into_iter()
                .map(|(key, value)| (key, normal(value)))
                .filter(|(key, value)| !is_nothing(key, value))
                .collect();
            Value::Object(fields)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(normal).collect()),
        other => other,
    }
}

fn is_nothing(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty() && MAPS.contains(&key),
        _ => false,
    }
}
