//! What two API servers made of one pod, without what has nothing to do with policies.

use serde_json::{Map, Value, json};

/// The parts of a pod that policies look at or change: annotations and spec.
pub(super) fn essentials(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    name_token_volume(&mut spec);
    json!({"annotations": pod["metadata"]["annotations"], "spec": without_nulls(spec)})
}

/// Each API server makes up the end of the name of the volume with the service account's token.
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

/// Looking into absent fields has left nulls.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(fields.map(|(name, value)| (name, without_nulls(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}
