//! What two API servers made of one pod, without what has nothing to do with policies.

use serde_json::{Map, Value, json};

/// Annotation of a container's AppArmor profile.
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The parts of a pod that policies look at or change: annotations and spec. Taken away is
///
/// - the end of the name of the volume with the service account's token, which each API server makes up;
/// - `appArmorProfile`, where it is a copy of the annotation: API servers copy since Kubernetes 1.30
///   (`applyAppArmorVersionSkew` of `pkg/registry/core/pod/strategy.go`), and before that there was no such field.
pub(super) fn essentials(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    let annotations = pod["metadata"]["annotations"].clone();
    name_token_volume(&mut spec);
    for container in spec["containers"].as_array_mut().into_iter().flatten() {
        let name = container["name"].as_str().unwrap_or_default();
        let annotation = annotations[format!("{APP_ARMOR}{name}")].clone();
        take_copy(&mut container["securityContext"], &annotation);
    }
    json!({"annotations": annotations, "spec": without_nothing(spec)})
}

/// Takes away the field, if it says what the annotation says.
fn take_copy(security_context: &mut Value, annotation: &Value) {
    const FIELD: &str = "appArmorProfile";
    let Some(annotation) = annotation.as_str() else { return };
    let copy = match annotation.strip_prefix("localhost/") {
        Some(profile) => json!({"type": "Localhost", "localhostProfile": profile}),
        None if annotation == "runtime/default" => json!({"type": "RuntimeDefault"}),
        None => json!({"type": "Unconfined"}),
    };
    if let Some(fields) = security_context.as_object_mut()
        && fields.get(FIELD) == Some(&copy)
    {
        fields.remove(FIELD);
    }
}

fn name_token_volume(spec: &mut Value) {
    let Some(volumes) = spec["volumes"].as_array_mut() else { return };
    let mut made_up = Vec::new();
    for volume in volumes {
        let name = volume["name"].as_str().unwrap_or_default().to_owned();
        if name.starts_with("kube-api-access-") {
            volume["name"] = json!("kube-api-access");
            made_up.push(name);
        }
    }
    for containers in ["containers", "initContainers"] {
        for container in spec[containers].as_array_mut().into_iter().flatten() {
            for mount in container["volumeMounts"].as_array_mut().into_iter().flatten() {
                if mount["name"].as_str().is_some_and(|name| made_up.iter().any(|made_up| made_up == name)) {
                    mount["name"] = json!("kube-api-access");
                }
            }
        }
    }
}

/// Looking into absent fields has left nulls, and taking copies away empty security contexts of containers.
fn without_nothing(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, without_nothing(value)));
            let is_something = |(name, value): &(String, Value)| {
                !value.is_null() && (name != "securityContext" || *value != json!({}))
            };
            Value::Object(fields.filter(is_something).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nothing).collect()),
        other => other,
    }
}

/// Paths of the fields that differ, with both values.
pub(super) fn differences(path: &str, left: &Value, right: &Value) -> Vec<String> {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let names = left.keys().chain(right.keys().filter(|name| !left.contains_key(*name)));
            let of = |fields: &Map<String, Value>, name: &str| fields.get(name).cloned().unwrap_or_default();
            names
                .flat_map(|name| differences(&format!("{path}.{name}"), &of(left, name), &of(right, name)))
                .collect()
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let pairs = left.iter().zip(right).enumerate();
            pairs
                .flat_map(|(index, (left, right))| differences(&format!("{path}[{index}]"), left, right))
                .collect()
        }
        (left, right) if left == right => Vec::new(),
        (left, right) => vec![format!("{path}: {left} or {right}")],
    }
}
