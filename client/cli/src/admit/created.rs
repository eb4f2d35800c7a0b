//! The pod that a workload's controller would create, and who that controller is.

use gavel_client::v1 as pb;
use serde_json::{Map, Value, json};

/// A pod about to be created.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Created {
    /// What people call it: `Deployment shop/web`.
    pub(crate) what: String,
    pub(crate) namespace: String,
    /// The pod, as its creator sends it.
    pub(crate) pod: Value,
    /// Who creates it.
    pub(crate) creator: pb::UserInfo,
}

/// Who creates bare pods when nobody is named.
const ADMIN: &str = "kubernetes-admin";

/// The pod of a manifest: itself, or that of its template. `None`: the manifest is of a kind that has no pods.
///
/// Controllers name pods after the workload and something random, which is not known yet: such a pod has a
/// `generateName`. (Of a Deployment the hash of its ReplicaSet is missing from it, too.) Those of a StatefulSet are
/// numbered from 0.
pub(crate) fn created(manifest: &Value, default_namespace: &str) -> Option<Created> {
    let kind = manifest.get("kind")?.as_str()?;
    let metadata = manifest.get("metadata");
    let text = |field: &str| metadata.and_then(|meta| meta.get(field)).and_then(Value::as_str);
    let namespace = text("namespace").unwrap_or(default_namespace).to_owned();
    let name = text("name").or(text("generateName")).unwrap_or_default();
    let (template, controller) = match kind {
        "Pod" => (manifest, None),
        "PodTemplate" => (manifest.get("template")?, None),
        "Deployment" | "ReplicaSet" => (manifest.pointer("/spec/template")?, Some("replicaset-controller")),
        "StatefulSet" => (manifest.pointer("/spec/template")?, Some("statefulset-controller")),
        "DaemonSet" => (manifest.pointer("/spec/template")?, Some("daemon-set-controller")),
        "Job" => (manifest.pointer("/spec/template")?, Some("job-controller")),
        "CronJob" => (manifest.pointer("/spec/jobTemplate/spec/template")?, Some("job-controller")),
        "ReplicationController" => (manifest.pointer("/spec/template")?, Some("replication-controller")),
        _ => return None,
    };
    let mut meta = Map::new();
    let written = template.get("metadata");
    for field in ["labels", "annotations"] {
        if let Some(value) = written.and_then(|written| written.get(field)) {
            meta.insert(field.to_owned(), value.clone());
        }
    }
    meta.insert("namespace".to_owned(), json!(namespace));
    match kind {
        "Pod" => {
            for field in ["name", "generateName"] {
                if let Some(value) = text(field) {
                    meta.insert(field.to_owned(), json!(value));
                }
            }
        }
        "StatefulSet" => {
            meta.insert("name".to_owned(), json!(format!("{name}-0")));
        }
        _ => {
            meta.insert("generateName".to_owned(), json!(format!("{name}-")));
        }
    }
    let mut pod = Map::new();
    pod.insert("apiVersion".to_owned(), json!("v1"));
    pod.insert("kind".to_owned(), json!("Pod"));
    pod.insert("metadata".to_owned(), Value::Object(meta));
    if let Some(spec) = template.get("spec") {
        pod.insert("spec".to_owned(), spec.clone());
    }
    Some(Created {
        what: format!("{kind} {namespace}/{name}"),
        namespace,
        pod: Value::Object(pod),
        creator: creator(controller),
    })
}

fn creator(controller: Option<&str>) -> pb::UserInfo {
    let (username, groups): (String, &[&str]) = match controller {
        None => (ADMIN.to_owned(), &["system:authenticated"]),
        Some(name) => (
            format!("system:serviceaccount:kube-system:{name}"),
            &["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
        ),
    };
    pb::UserInfo {
        username,
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        ..Default::default()
    }
}
