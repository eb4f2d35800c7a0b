//! What the API server's ServiceAccount admission does to a pod before policies see it: it names the service account,
//! and mounts its token, for which a policy has to allow a volume.
//!
//! From `plugin/pkg/admission/serviceaccount/admission.go` of Kubernetes v1.24. The volume's name ends in something
//! random there.

use serde_json::{Value, json};

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME: &str = "kube-api-access-xxxxx";

/// Does it. `mounts_token` tells whether a service account of this name wants its token mounted.
pub(super) fn admit(pod: &mut Value, mounts_token: impl Fn(&str) -> bool) {
    // The kubelet's own pods are left alone.
    if pod.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_some() {
        return;
    }
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let named = ["serviceAccountName", "serviceAccount"]
        .iter()
        .filter_map(|field| spec.get(*field).and_then(Value::as_str))
        .find(|name| !name.is_empty());
    let account = named.unwrap_or("default").to_owned();
    spec.insert("serviceAccountName".to_owned(), json!(account));
    let wanted = spec.get("automountServiceAccountToken").and_then(Value::as_bool);
    if !wanted.unwrap_or_else(|| mounts_token(&account)) {
        return;
    }
    let mut needed = false;
    for list in ["initContainers", "containers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            needed |= mount(container);
        }
    }
    if needed {
        let volumes = spec.entry("volumes").or_insert_with(|| json!([]));
        if volumes.is_null() {
            *volumes = json!([]);
        }
        if let Some(volumes) = volumes.as_array_mut() {
            volumes.push(volume());
        }
    }
}

/// Mounts the token, unless something is mounted there already; tells whether it did.
fn mount(container: &mut Value) -> bool {
    let Some(container) = container.as_object_mut() else { return false };
    let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
    if mounts.is_null() {
        *mounts = json!([]);
    }
    let Some(mounts) = mounts.as_array_mut() else { return false };
    if mounts.iter().any(|mount| mount.get("mountPath").and_then(Value::as_str) == Some(MOUNT_PATH)) {
        return false;
    }
    mounts.push(json!({"name": VOLUME, "readOnly": true, "mountPath": MOUNT_PATH}));
    true
}

fn volume() -> Value {
    json!({"name": VOLUME, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}]}})
}
