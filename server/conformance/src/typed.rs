//! Admissions whose pods come as messages: the same questions, from the same JSON.

use gavel_proto::v1 as pb;
use serde_json::{Map, Value};

use crate::decision_point::DecisionPoint;
use crate::question::{Answer, Question};

/// Somebody who is asked with messages instead of JSON, wherever a message can say the same.
#[derive(Clone, Copy, Debug)]
pub struct Typed<D> {
    /// Who is asked.
    pub asked: D,
    /// What messages call it.
    pub name: &'static str,
}

impl<D: DecisionPoint> DecisionPoint for Typed<D> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn ask(&self, objects: &[Value], questions: &[&Question]) -> anyhow::Result<Vec<Answer>> {
        let typed = |question: &&Question| match question {
            Question::Admit(request) => {
                Question::Admit(Box::new(request_of(request).unwrap_or_else(|| (**request).clone())))
            }
            other => (*other).clone(),
        };
        let questions: Vec<Question> = questions.iter().map(typed).collect();
        self.asked.ask(objects, &questions.iter().collect::<Vec<_>>())
    }
}

/// The same request with a message instead of JSON; `None` where no message says the same, since the JSON is no pod.
pub fn request_of(request: &pb::AdmitRequest) -> Option<pb::AdmitRequest> {
    let object: Value = serde_json::from_slice(&request.object).ok()?;
    let mut pod = pod_of(&object)?;
    let mut old_pod = None;
    if !request.old_object.is_empty() {
        let old: Value = serde_json::from_slice(&request.old_object).ok()?;
        // An old pod that is none, or has no containers, is refused as JSON; of a message nothing is left to look at.
        pod_of(&old)?.spec.filter(|spec| !spec.containers.is_empty())?;
        let with_status = request.phase() == pb::Phase::Validate;
        pod.fingerprint = fingerprint(object, with_status).into();
        old_pod = Some(pb::OldPod { fingerprint: fingerprint(old, with_status).into() });
    }
    Some(pb::AdmitRequest {
        object: Vec::new().into(),
        old_object: Vec::new().into(),
        pod: Some(pod),
        old_pod,
        ..request.clone()
    })
}

/// The text of a pod without what the garbage collector writes, and without what Go's encoders leave out.
fn fingerprint(mut pod: Value, with_status: bool) -> String {
    if let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| {
            !["ownerReferences", "finalizers", "selfLink", "managedFields"].contains(&field.as_str())
        });
    }
    if !with_status && let Some(fields) = pod.as_object_mut() {
        fields.remove("status");
    }
    leave_out(&mut pod);
    // Maps of serde_json are sorted.
    pod.to_string()
}

fn leave_out(value: &mut Value) {
    const MAPS: [&str; 7] =
        ["annotations", "labels", "limits", "matchLabels", "nodeSelector", "overhead", "requests"];
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(leave_out);
            fields.retain(|field, value| {
                let is_empty_map = value.as_object().is_some_and(Map::is_empty);
                let is_empty_list = value.as_array().is_some_and(Vec::is_empty);
                !(value.is_null() || is_empty_list || is_empty_map && MAPS.contains(&field.as_str()))
            });
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out),
        _ => {}
    }
}

/// A pod, read field by field; `None` if it is no pod: Kubernetes' types are kept to.
fn pod_of(pod: &Value) -> Option<pb::Pod> {
    let (version, kind) = (text(pod, "apiVersion")?, text(pod, "kind")?);
    if !["", "v1"].contains(&version.as_str()) || !["", "Pod"].contains(&kind.as_str()) {
        return None;
    }
    Some(pb::Pod {
        metadata: object(pod, "metadata", metadata)?,
        spec: object(pod, "spec", spec)?,
        fingerprint: Vec::new(),
    })
}

/// A field that may be absent, as which `null` counts; the outer `None`: it is of another type.
fn field<T>(object: &Value, field: &str, read: impl Fn(&Value) -> Option<T>) -> Option<Option<T>> {
    match object.as_object()?.get(field) {
        None | Some(Value::Null) => Some(None),
        Some(value) => read(value).map(Some),
    }
}

fn object<T>(of: &Value, name: &str, read: impl Fn(&Value) -> Option<T>) -> Option<Option<T>> {
    field(of, name, |value| value.is_object().then(|| read(value))?)
}

/// A list in which `null` stands for the default of its element.
fn list<T: Default>(of: &Value, name: &str, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    optional_list(of, name, read).map(Option::unwrap_or_default)
}

fn optional_list<T: Default>(
    of: &Value,
    name: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Option<Option<Vec<T>>> {
    field(of, name, |value| {
        let items = value.as_array()?.iter();
        items.map(|item| if item.is_null() { Some(T::default()) } else { read(item) }).collect()
    })
}

fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn text(object: &Value, name: &str) -> Option<String> {
    field(object, name, string).map(Option::unwrap_or_default)
}

fn yes(object: &Value, name: &str) -> Option<bool> {
    field(object, name, Value::as_bool).map(Option::unwrap_or_default)
}

fn port(object: &Value, name: &str) -> Option<i32> {
    let read = |value: &Value| i32::try_from(value.as_i64()?).ok();
    field(object, name, read).map(Option::unwrap_or_default)
}

fn metadata(of: &Value) -> Option<pb::PodMetadata> {
    let annotations = |value: &Value| {
        let pair = |(key, value): (&String, &Value)| {
            let value = if value.is_null() { String::new() } else { string(value)? };
            Some((key.clone(), value))
        };
        Some(pb::Annotations { items: value.as_object()?.iter().map(pair).collect::<Option<_>>()? })
    };
    Some(pb::PodMetadata {
        name: text(of, "name")?,
        generate_name: text(of, "generateName")?,
        annotations: field(of, "annotations", annotations)?,
    })
}

fn spec(of: &Value) -> Option<pb::PodSpec> {
    // Of these Kubernetes has no pointers, and a container that is not there is none.
    let containers = |name: &str| -> Option<Vec<pb::Container>> {
        field(of, name, |value| value.as_array()?.iter().map(container).collect())
            .map(Option::unwrap_or_default)
    };
    Some(pb::PodSpec {
        service_account_name: text(of, "serviceAccountName")?,
        service_account: text(of, "serviceAccount")?,
        host_network: yes(of, "hostNetwork")?,
        host_pid: yes(of, "hostPID")?,
        host_ipc: yes(of, "hostIPC")?,
        runtime_class_name: field(of, "runtimeClassName", string)?,
        security_context: object(of, "securityContext", pod_security_context)?,
        volumes: list(of, "volumes", volume)?,
        init_containers: containers("initContainers")?,
        containers: containers("containers")?,
        ephemeral_containers: containers("ephemeralContainers")?,
    })
}

fn pod_security_context(of: &Value) -> Option<pb::PodSecurityContext> {
    Some(pb::PodSecurityContext {
        se_linux_options: object(of, "seLinuxOptions", se_linux)?,
        run_as_user: field(of, "runAsUser", Value::as_i64)?,
        run_as_group: field(of, "runAsGroup", Value::as_i64)?,
        run_as_non_root: field(of, "runAsNonRoot", Value::as_bool)?,
        supplemental_groups: optional_list(of, "supplementalGroups", Value::as_i64)?
            .map(|items| pb::GroupIds { items }),
        fs_group: field(of, "fsGroup", Value::as_i64)?,
        sysctls: list(of, "sysctls", |sysctl| Some(pb::Sysctl { name: text(sysctl, "name")? }))?,
        seccomp_profile: object(of, "seccompProfile", seccomp_profile)?,
        app_armor_profile: object(of, "appArmorProfile", app_armor_profile)?,
    })
}

fn seccomp_profile(of: &Value) -> Option<pb::SeccompProfile> {
    let (r#type, localhost_profile) = profile(of)?;
    Some(pb::SeccompProfile { r#type, localhost_profile })
}

fn app_armor_profile(of: &Value) -> Option<pb::AppArmorProfile> {
    let (r#type, localhost_profile) = profile(of)?;
    Some(pb::AppArmorProfile { r#type, localhost_profile })
}

/// Type and file, which both kinds of profiles have.
fn profile(of: &Value) -> Option<(String, Option<String>)> {
    Some((text(of, "type")?, field(of, "localhostProfile", string)?))
}

fn se_linux(of: &Value) -> Option<pb::SeLinuxOptions> {
    Some(pb::SeLinuxOptions {
        user: text(of, "user")?,
        role: text(of, "role")?,
        r#type: text(of, "type")?,
        level: text(of, "level")?,
    })
}

fn container(of: &Value) -> Option<pb::Container> {
    Some(pb::Container {
        name: text(of, "name")?,
        ports: list(of, "ports", |of| {
            Some(pb::ContainerPort {
                container_port: port(of, "containerPort")?,
                host_port: port(of, "hostPort")?,
            })
        })?,
        volume_mounts: list(of, "volumeMounts", |of| {
            Some(pb::VolumeMount { name: text(of, "name")?, read_only: yes(of, "readOnly")? })
        })?,
        security_context: object(of, "securityContext", security_context)?,
    })
}

fn security_context(of: &Value) -> Option<pb::SecurityContext> {
    let names = |of: &Value, name: &str| -> Option<Option<pb::CapabilityNames>> {
        Some(optional_list(of, name, string)?.map(|items| pb::CapabilityNames { items }))
    };
    Some(pb::SecurityContext {
        capabilities: object(of, "capabilities", |of| {
            Some(pb::Capabilities { add: names(of, "add")?, drop: names(of, "drop")? })
        })?,
        privileged: field(of, "privileged", Value::as_bool)?,
        se_linux_options: object(of, "seLinuxOptions", se_linux)?,
        run_as_user: field(of, "runAsUser", Value::as_i64)?,
        run_as_group: field(of, "runAsGroup", Value::as_i64)?,
        run_as_non_root: field(of, "runAsNonRoot", Value::as_bool)?,
        read_only_root_filesystem: field(of, "readOnlyRootFilesystem", Value::as_bool)?,
        allow_privilege_escalation: field(of, "allowPrivilegeEscalation", Value::as_bool)?,
        proc_mount: field(of, "procMount", string)?,
        seccomp_profile: object(of, "seccompProfile", seccomp_profile)?,
        app_armor_profile: object(of, "appArmorProfile", app_armor_profile)?,
    })
}

fn volume(of: &Value) -> Option<pb::Volume> {
    const OWN_FIELDS: [&str; 5] = ["name", "hostPath", "flexVolume", "csi", "projected"];
    let others = of
        .as_object()?
        .iter()
        .filter(|(field, source)| !OWN_FIELDS.contains(&field.as_str()) && !source.is_null());
    Some(pb::Volume {
        name: text(of, "name")?,
        host_path: object(of, "hostPath", |of| {
            text(of, "driver")?;
            Some(pb::HostPathVolumeSource { path: text(of, "path")? })
        })?,
        flex_volume: object(of, "flexVolume", |of| {
            text(of, "path")?;
            Some(pb::FlexVolumeSource { driver: text(of, "driver")? })
        })?,
        csi: object(of, "csi", |of| {
            text(of, "path")?;
            Some(pb::CsiVolumeSource { driver: text(of, "driver")? })
        })?,
        projected: object(of, "projected", |of| {
            Some(pb::ProjectedVolumeSource { sources: list(of, "sources", projection)? })
        })?,
        other_sources: others.map(|(field, _)| field.clone()).collect(),
    })
}

fn projection(of: &Value) -> Option<pb::VolumeProjection> {
    Some(pb::VolumeProjection {
        service_account_token: object(of, "serviceAccountToken", |of| {
            Some(pb::ServiceAccountTokenProjection {
                path: text(of, "path")?,
                audience: text(of, "audience")?,
            })
        })?,
        config_map: object(of, "configMap", |of| Some(pb::ConfigMapProjection { name: text(of, "name")? }))?,
        downward_api: object(of, "downwardAPI", |of| {
            Some(pb::DownwardApiProjection { items: list(of, "items", downward_item)? })
        })?,
    })
}

fn downward_item(of: &Value) -> Option<pb::DownwardApiVolumeFile> {
    Some(pb::DownwardApiVolumeFile {
        path: text(of, "path")?,
        field_ref: object(of, "fieldRef", |of| {
            Some(pb::ObjectFieldSelector {
                api_version: text(of, "apiVersion")?,
                field_path: text(of, "fieldPath")?,
            })
        })?,
    })
}
