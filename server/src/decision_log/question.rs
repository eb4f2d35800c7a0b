//! What is logged of a question, and what is not.
//!
//! Redacted, a question shows what policies look at, by name: everything else is left out, whatever it is, so that a field
//! that is new to Kubernetes is not logged by accident. Environment, commands, arguments, probes, annotations, labels'
//! values, image pull secrets, contents and names of what volumes are made of are nobody's business here.

use std::borrow::Cow;

use gavel_proto::v1 as pb;
use serde_json::{Map, Value, json};

/// How much of a question is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redaction {
    /// Nothing.
    None,
    /// What policies look at.
    Redacted,
    /// All of it.
    Full,
}

/// Instead of a value that is left out.
const LEFT_OUT: &str = "(redacted)";
/// Fields of a pod's spec that show.
const SPEC: [&str; 8] = [
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "hostUsers",
    "serviceAccountName",
    "runtimeClassName",
    "securityContext",
    "nodeName",
];
/// Fields of a container that show.
const CONTAINER: [&str; 4] = ["name", "image", "ports", "securityContext"];
/// Prefixes of the annotations that policies look at.
const ANNOTATIONS: [&str; 3] = [
    "seccomp.security.alpha.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "container.apparmor.security.beta.kubernetes.io/",
];

pub(super) fn admit(request: &pb::AdmitRequest, redaction: Redaction) -> Option<Value> {
    if redaction == Redaction::None {
        return None;
    }
    let user = request.user.clone().unwrap_or_default();
    let mut asked = json!({
        "uid": request.uid,
        "operation": request.operation().as_str_name(),
        "namespace": request.namespace,
        "name": request.name,
        "subresource": request.subresource,
        "phase": request.phase().as_str_name(),
        "user": {"username": user.username, "groups": user.groups},
    });
    if let Value::Object(asked) = &mut asked {
        match &request.pod {
            Some(pod) => asked.insert("pod".to_owned(), message(pod, redaction)),
            None => asked.insert("object".to_owned(), object(&request.object, redaction)),
        };
    }
    if let (Some(resource), Value::Object(asked)) = (&request.resource, &mut asked) {
        asked.insert("resource".to_owned(), json!({"group": resource.group, "resource": resource.resource}));
    }
    if let (false, Value::Object(asked)) = (request.old_object.is_empty(), &mut asked) {
        asked.insert("old_object".to_owned(), object(&request.old_object, redaction));
    }
    if let (Redaction::Full, Value::Object(asked)) = (redaction, &mut asked) {
        asked.insert("user".to_owned(), json!(user));
    }
    Some(asked)
}

pub(super) fn check_flow(request: &pb::CheckFlowRequest, redaction: Redaction) -> Option<Value> {
    let mut request = request.clone();
    match redaction {
        Redaction::None => return None,
        Redaction::Redacted => {
            for end in [&mut request.source, &mut request.destination] {
                if let Some(pb::End { end: Some(pb::end::End::Labels(labels)) }) = end {
                    labels.labels.values_mut().for_each(|value| LEFT_OUT.clone_into(value));
                }
            }
        }
        Redaction::Full => {}
    }
    Some(json!(request))
}

pub(super) fn authorize(request: &pb::AuthorizeRequest, redaction: Redaction) -> Option<Value> {
    let mut request = request.clone();
    match redaction {
        Redaction::None => return None,
        Redaction::Redacted => request.extra.clear(),
        Redaction::Full => {}
    }
    Some(json!(request))
}

/// Why there is no answer. What is wrong with a question quotes it: of that, the field alone shows.
pub(super) fn refusal<'w>(code: &str, why: &'w str, redaction: Redaction) -> Cow<'w, str> {
    if redaction == Redaction::Full || code != "InvalidArgument" {
        return why.into();
    }
    match why.split_once(": ") {
        Some((field, _)) => format!("{field}: {LEFT_OUT}").into(),
        None => LEFT_OUT.into(),
    }
}

/// A pod that came as a message: the same of it shows as of one that came as JSON.
fn message(pod: &pb::Pod, redaction: Redaction) -> Value {
    if redaction == Redaction::Full {
        return json!(pod);
    }
    let mut pod = pod.clone();
    pod.fingerprint.clear();
    if let Some(annotations) = pod.metadata.as_mut().and_then(|metadata| metadata.annotations.as_mut()) {
        annotations.items.retain(|key, _| is_shown(key));
    }
    if let Some(spec) = &mut pod.spec {
        for volume in &mut spec.volumes {
            volume.projected.iter_mut().for_each(|source| source.sources.clear());
        }
        let lists = [&mut spec.init_containers, &mut spec.containers, &mut spec.ephemeral_containers];
        lists.into_iter().flatten().for_each(|container| container.volume_mounts.clear());
    }
    json!(pod)
}

/// An object that may be anything: what is no JSON does not show at all.
fn object(bytes: &[u8], redaction: Redaction) -> Value {
    let object: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    if redaction == Redaction::Full {
        return object;
    }
    let mut shown = picked(&object, &["apiVersion", "kind"]);
    let metadata = &object["metadata"];
    let mut named = picked(metadata, &["name", "generateName", "namespace"]);
    let annotations = shown_annotations(&metadata["annotations"]);
    if !annotations.is_empty() {
        named.insert("annotations".to_owned(), Value::Object(annotations));
    }
    shown.insert("metadata".to_owned(), Value::Object(named));
    let spec = &object["spec"];
    let mut shown_spec = picked(spec, &SPEC);
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        if let Value::Array(containers) = &spec[field] {
            let containers = containers.iter().map(|container| Value::Object(picked(container, &CONTAINER)));
            shown_spec.insert(field.to_owned(), containers.collect());
        }
    }
    if let Value::Array(volumes) = &spec["volumes"] {
        shown_spec.insert("volumes".to_owned(), volumes.iter().map(volume).collect());
    }
    shown.insert("spec".to_owned(), Value::Object(shown_spec));
    Value::Object(shown)
}

/// A volume's name, its type, and of what policies look at, the path or driver.
fn volume(volume: &Value) -> Value {
    let Value::Object(fields) = volume else { return Value::Null };
    let shown = fields.iter().map(|(field, value)| {
        let value = match field.as_str() {
            "name" => value.clone(),
            "hostPath" => Value::Object(picked(value, &["path", "type"])),
            "csi" | "flexVolume" => Value::Object(picked(value, &["driver"])),
            _ => json!({}),
        };
        (field.clone(), value)
    });
    Value::Object(shown.collect())
}

fn is_shown(annotation: &str) -> bool {
    ANNOTATIONS.iter().any(|prefix| annotation.starts_with(prefix)) || annotation == "kubernetes.io/psp"
}

fn shown_annotations(annotations: &Value) -> Map<String, Value> {
    let Value::Object(annotations) = annotations else { return Map::new() };
    annotations
        .iter()
        .filter(|(key, _)| is_shown(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn picked(object: &Value, fields: &[&str]) -> Map<String, Value> {
    let found = fields.iter().filter_map(|field| Some(((*field).to_owned(), object.get(*field)?.clone())));
    found.collect()
}
