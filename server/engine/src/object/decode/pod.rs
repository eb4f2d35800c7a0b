//! `v1 Pod`, and the pod templates of its controllers.

use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;

use super::ports;
use crate::object::meta::{nullable, nullable_map, nullable_object, nullable_objects};
use crate::object::validate::Errors;
use crate::object::{ContainerPort, Kind, Labels, OwnerReference, Pod, Uid, Workload, ip};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct WrittenPod {
    #[serde(deserialize_with = "nullable_object")]
    metadata: PodMeta,
    #[serde(deserialize_with = "nullable_object")]
    spec: PodSpec,
    #[serde(deserialize_with = "nullable_object")]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodMeta {
    #[serde(deserialize_with = "nullable")]
    uid: String,
    #[serde(deserialize_with = "nullable_map")]
    labels: Labels,
    #[serde(deserialize_with = "nullable_objects")]
    owner_references: Vec<OwnerReference>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    #[serde(deserialize_with = "nullable")]
    node_name: String,
    #[serde(deserialize_with = "nullable")]
    host_network: bool,
    #[serde(deserialize_with = "nullable_objects")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "nullable_objects")]
    init_containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    #[serde(deserialize_with = "nullable")]
    restart_policy: String,
    #[serde(deserialize_with = "nullable_objects")]
    ports: Vec<WrittenPort>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WrittenPort {
    #[serde(deserialize_with = "nullable")]
    name: String,
    protocol: Option<String>,
    #[serde(deserialize_with = "nullable")]
    container_port: i32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    #[serde(deserialize_with = "nullable")]
    phase: String,
    #[serde(rename = "podIP", deserialize_with = "nullable")]
    pod_ip: String,
    #[serde(rename = "podIPs", deserialize_with = "nullable_objects")]
    pod_ips: Vec<PodIp>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodIp {
    #[serde(deserialize_with = "nullable")]
    ip: String,
}

/// `PodTemplateSpec`: read like a pod, of which it has labels and spec.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Template {
    #[serde(deserialize_with = "nullable_object")]
    metadata: PodMeta,
    #[serde(deserialize_with = "nullable_object")]
    spec: PodSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct WrittenWorkload {
    #[serde(deserialize_with = "nullable_object")]
    spec: WorkloadSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WorkloadSpec {
    #[serde(deserialize_with = "nullable_object")]
    template: Template,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct WrittenCronJob {
    #[serde(deserialize_with = "nullable_object")]
    spec: CronJobSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CronJobSpec {
    #[serde(deserialize_with = "nullable_object")]
    job_template: WrittenWorkload,
}

/// The pod that was written.
pub(super) fn read(namespace: String, name: String, written: WrittenPod, errors: &mut Errors) -> Pod {
    let WrittenPod { metadata, spec, status } = written;
    Pod {
        namespace,
        name,
        uid: Uid::parse(&metadata.uid),
        owner: owner(metadata.owner_references),
        labels: metadata.labels,
        host_network: spec.host_network,
        ports: container_ports(&spec, "spec", errors),
        node: spec.node_name,
        addresses: addresses(&status, errors),
        terminated: matches!(status.phase.as_str(), "Succeeded" | "Failed"),
    }
}

/// The workload that was written; everything but its names comes from the template.
pub(super) fn read_workload(
    kind: Kind,
    namespace: String,
    name: String,
    written: WrittenWorkload,
    errors: &mut Errors,
) -> Workload {
    let Template { metadata: template, spec } = written.spec.template;
    let path =
        if kind == Kind::CronJob { "spec.jobTemplate.spec.template.spec" } else { "spec.template.spec" };
    let ports = container_ports(&spec, path, errors);
    Workload {
        kind,
        pod: Pod {
            namespace,
            name,
            labels: template.labels,
            host_network: spec.host_network,
            ports,
            ..Pod::default()
        },
    }
}

/// A CronJob's workload is that of the jobs it makes.
pub(super) fn job_of(cron_job: WrittenCronJob) -> WrittenWorkload {
    cron_job.spec.job_template
}

/// The controller, else the first; `metav1.GetControllerOf` knows only the former.
fn owner(references: Vec<OwnerReference>) -> Option<(String, String)> {
    let at = references.iter().position(|reference| reference.controller).unwrap_or_default();
    let owner = references.into_iter().nth(at)?;
    let kind = if owner.kind.is_empty() { Kind::Pod.as_str().to_owned() } else { owner.kind };
    Some((kind, owner.name))
}

/// Named ports, in the order in which `podutil.FindPort` of Kubernetes looks at them: containers, then those init
/// containers that go on running. All ports are looked at for mistakes.
fn container_ports(spec: &PodSpec, path: &str, errors: &mut Errors) -> Vec<ContainerPort> {
    let mut named = Vec::new();
    for (field, containers, count_all) in
        [("containers", &spec.containers, true), ("initContainers", &spec.init_containers, false)]
    {
        for (at, container) in containers.iter().enumerate() {
            let counts = count_all || container.restart_policy == "Always";
            for (index, port) in container.ports.iter().enumerate() {
                let read = read_port(port, format_args!("{path}.{field}[{at}].ports[{index}]"), errors);
                named.extend(read.filter(|port| counts && !port.name.is_empty()));
            }
        }
    }
    named
}

/// `None` only along with an error.
fn read_port(written: &WrittenPort, path: fmt::Arguments<'_>, errors: &mut Errors) -> Option<ContainerPort> {
    // Defaulting takes empty for absent: `zz_generated.defaults.go`.
    let protocol = written.protocol.as_deref().filter(|protocol| !protocol.is_empty());
    let protocol = ports::protocol(protocol, path, errors);
    let port = ports::number(written.container_port, format_args!("{path}.containerPort"), errors);
    Some(ContainerPort { name: written.name.clone(), protocol: protocol?, port: port? })
}

/// `podIPs`, else `podIP`.
fn addresses(status: &PodStatus, errors: &mut Errors) -> Vec<IpAddr> {
    let mut read = |text: &str, index: Option<usize>| {
        let address = ip::parse_ip(text);
        if address.is_none() {
            let message = format!("{text:?} is not an IP address");
            match index {
                Some(index) => errors.push(format_args!("status.podIPs[{index}].ip"), message),
                None => errors.push("status.podIP", message),
            }
        }
        address
    };
    let mut addresses = Vec::with_capacity(status.pod_ips.len());
    for (index, PodIp { ip }) in status.pod_ips.iter().enumerate() {
        let address = read(ip, Some(index));
        addresses.extend(address.filter(|address| !addresses.contains(address)));
    }
    if status.pod_ips.is_empty() && !status.pod_ip.is_empty() {
        addresses.extend(read(&status.pod_ip, None));
    }
    addresses
}
