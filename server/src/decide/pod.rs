//! A pod that comes as a message: into what the engine's own reader makes of JSON, borrowed field by field.

use gavel_engine::admission::Object;
use gavel_engine::admission::pod::{
    Capabilities, ConfigMap, Container, DownwardApi, FieldRef, Item, Metadata, PodSecurityContext, PodView,
    Port, Profile, ProjectedSource, SeLinux, SecurityContext, Spec, Sysctl, Text, Token, Volume, VolumeMount,
    VolumeSource,
};
use gavel_proto::v1 as pb;
use tonic::Status;

use super::invalid::invalid;

/// The object of a request, in whichever form it comes.
pub(super) fn object(request: &pb::AdmitRequest) -> Result<Object<'_>, Status> {
    let pb::AdmitRequest { object, old_object, pod, old_pod, .. } = request;
    let Some(pod) = pod else {
        if old_pod.is_some() {
            return Err(invalid("oldPod", "goes with pod; an object of JSON has oldObject"));
        }
        return Ok(Object::Json { object, old_object: (!old_object.is_empty()).then_some(&**old_object) });
    };
    if !object.is_empty() {
        return Err(invalid("pod", "object is set, too: one of them says it all"));
    }
    if !old_object.is_empty() {
        return Err(invalid("oldObject", "goes with object; a pod has oldPod"));
    }
    let is_only_gc = match old_pod {
        None => false,
        Some(pb::OldPod { fingerprint }) if fingerprint.is_empty() => {
            return Err(invalid("oldPod.fingerprint", MISSING_FINGERPRINT));
        }
        Some(_) if pod.fingerprint.is_empty() => {
            return Err(invalid("pod.fingerprint", MISSING_FINGERPRINT));
        }
        Some(pb::OldPod { fingerprint }) => *fingerprint == pod.fingerprint,
    };
    Ok(Object::Typed { pod: view(pod)?, is_only_gc })
}

const MISSING_FINGERPRINT: &str =
    "must be set where oldPod is: it tells whether the garbage collector alone wrote";

/// A view of the pod. Who adds a field to a message finds here that nobody reads it.
fn view(pod: &pb::Pod) -> Result<PodView<'_>, Status> {
    let pb::Pod { metadata, spec, fingerprint: _ } = pod;
    Ok(PodView {
        metadata: metadata.as_ref().map(to_metadata),
        spec: spec.as_ref().map(to_spec).transpose()?,
        ..PodView::default()
    })
}

fn to_metadata(metadata: &pb::PodMetadata) -> Metadata<'_> {
    let pb::PodMetadata { name, generate_name, annotations } = metadata;
    Metadata {
        name: text(name),
        generate_name: text(generate_name),
        annotations: annotations.as_ref().map(|pb::Annotations { items }| items.iter().collect()),
    }
}

fn to_spec(spec: &pb::PodSpec) -> Result<Spec<'_>, Status> {
    let pb::PodSpec {
        service_account_name,
        service_account,
        host_network,
        host_pid,
        host_ipc,
        runtime_class_name,
        security_context,
        volumes,
        init_containers,
        containers,
        ephemeral_containers,
    } = spec;
    let volume = |(index, volume): (usize, _)| to_volume(index, volume);
    Ok(Spec {
        service_account_name: text(service_account_name),
        service_account: text(service_account),
        host_network: *host_network,
        host_pid: *host_pid,
        host_ipc: *host_ipc,
        runtime_class_name: runtime_class_name.as_ref().map(Text::from),
        security_context: security_context.as_ref().map(to_pod_security_context),
        volumes: volumes.iter().enumerate().map(volume).collect::<Result<_, _>>()?,
        init_containers: to_containers(init_containers),
        containers: to_containers(containers),
        ephemeral_containers: to_containers(ephemeral_containers),
    })
}

fn to_pod_security_context(context: &pb::PodSecurityContext) -> PodSecurityContext<'_> {
    let pb::PodSecurityContext {
        se_linux_options,
        run_as_user,
        run_as_group,
        run_as_non_root,
        supplemental_groups,
        fs_group,
        sysctls,
        seccomp_profile,
        app_armor_profile,
    } = context;
    PodSecurityContext {
        se_linux_options: se_linux_options.as_ref().map(to_se_linux),
        run_as_user: *run_as_user,
        run_as_group: *run_as_group,
        run_as_non_root: *run_as_non_root,
        supplemental_groups: supplemental_groups.as_ref().map(|pb::GroupIds { items }| items.clone()),
        fs_group: *fs_group,
        sysctls: sysctls.iter().map(|pb::Sysctl { name }| Sysctl { name: text(name) }).collect(),
        seccomp_profile: seccomp_profile.as_ref().map(seccomp),
        app_armor_profile: app_armor_profile.as_ref().map(app_armor),
    }
}

fn to_containers(containers: &[pb::Container]) -> Vec<Container<'_>> {
    containers.iter().map(to_container).collect()
}

fn to_container(container: &pb::Container) -> Container<'_> {
    let pb::Container { name, ports, volume_mounts, security_context } = container;
    let port = |pb::ContainerPort { container_port, host_port }: &pb::ContainerPort| -> Port {
        Port { container_port: *container_port, host_port: *host_port }
    };
    Container {
        name: text(name),
        ports: ports.iter().map(port).collect(),
        volume_mounts: volume_mounts.iter().map(to_volume_mount).collect(),
        security_context: security_context.as_ref().map(to_security_context),
    }
}

fn to_volume_mount(mount: &pb::VolumeMount) -> VolumeMount<'_> {
    let pb::VolumeMount { name, read_only } = mount;
    VolumeMount { name: text(name), read_only: *read_only }
}

fn to_security_context(context: &pb::SecurityContext) -> SecurityContext<'_> {
    let pb::SecurityContext {
        capabilities,
        privileged,
        se_linux_options,
        run_as_user,
        run_as_group,
        run_as_non_root,
        read_only_root_filesystem,
        allow_privilege_escalation,
        proc_mount,
        seccomp_profile,
        app_armor_profile,
    } = context;
    SecurityContext {
        capabilities: capabilities.as_ref().map(to_capabilities),
        privileged: *privileged,
        se_linux_options: se_linux_options.as_ref().map(to_se_linux),
        run_as_user: *run_as_user,
        run_as_group: *run_as_group,
        run_as_non_root: *run_as_non_root,
        read_only_root_filesystem: *read_only_root_filesystem,
        allow_privilege_escalation: *allow_privilege_escalation,
        proc_mount: proc_mount.as_ref().map(Text::from),
        seccomp_profile: seccomp_profile.as_ref().map(seccomp),
        app_armor_profile: app_armor_profile.as_ref().map(app_armor),
    }
}

fn to_capabilities(capabilities: &pb::Capabilities) -> Capabilities<'_> {
    let pb::Capabilities { add, drop } = capabilities;
    Capabilities { add: add.as_ref().map(names), drop: drop.as_ref().map(names) }
}

fn names(names: &pb::CapabilityNames) -> Vec<Text<'_>> {
    names.items.iter().map(Text::from).collect()
}

fn to_se_linux(options: &pb::SeLinuxOptions) -> SeLinux<'_> {
    let pb::SeLinuxOptions { user, role, r#type, level } = options;
    SeLinux { user: text(user), role: text(role), type_: text(r#type), level: text(level) }
}

fn seccomp(profile: &pb::SeccompProfile) -> Profile<'_> {
    let pb::SeccompProfile { r#type, localhost_profile } = profile;
    Profile { type_: text(r#type), localhost_profile: localhost_profile.as_ref().map(Text::from) }
}

fn app_armor(profile: &pb::AppArmorProfile) -> Profile<'_> {
    let pb::AppArmorProfile { r#type, localhost_profile } = profile;
    Profile { type_: text(r#type), localhost_profile: localhost_profile.as_ref().map(Text::from) }
}

fn to_volume(index: usize, volume: &pb::Volume) -> Result<Volume<'_>, Status> {
    let pb::Volume { name, host_path, flex_volume, csi, projected, other_sources } = volume;
    for (other, source) in other_sources.iter().enumerate() {
        let instead = match source.as_str() {
            "hostPath" | "flexVolume" | "csi" | "projected" => source,
            "" | "name" => "the name of a source",
            _ => continue,
        };
        let field = format!("pod.spec.volumes[{index}].otherSources[{other}]");
        return Err(invalid(field, format!("must not be {source:?}: set {instead} instead")));
    }
    let host_path = host_path.iter().map(|source| VolumeSource::HostPath(text(&source.path)));
    let flex_volume = flex_volume.iter().map(|source| VolumeSource::FlexVolume(text(&source.driver)));
    let csi = csi.iter().map(|source| VolumeSource::Csi(text(&source.driver)));
    let projected = projected
        .iter()
        .map(|source| VolumeSource::projected(source.sources.iter().map(to_projected_source)));
    let others = other_sources.iter().map(|source| VolumeSource::Other(text(source)));
    Ok(Volume::new(text(name), host_path.chain(flex_volume).chain(csi).chain(projected).chain(others)))
}

fn to_projected_source(source: &pb::VolumeProjection) -> ProjectedSource<'_> {
    let pb::VolumeProjection { service_account_token, config_map, downward_api } = source;
    ProjectedSource {
        service_account_token: service_account_token.as_ref().map(|token| {
            let pb::ServiceAccountTokenProjection { path, audience } = token;
            Token { path: text(path), audience: text(audience) }
        }),
        config_map: config_map
            .as_ref()
            .map(|pb::ConfigMapProjection { name }| ConfigMap { name: text(name) }),
        downward_api: downward_api.as_ref().map(|pb::DownwardApiProjection { items }| DownwardApi {
            items: items.iter().map(to_item).collect(),
        }),
    }
}

fn to_item(item: &pb::DownwardApiVolumeFile) -> Item<'_> {
    let pb::DownwardApiVolumeFile { path, field_ref } = item;
    Item {
        path: text(path),
        field_ref: field_ref.as_ref().map(|field| {
            let pb::ObjectFieldSelector { api_version, field_path } = field;
            FieldRef { api_version: text(api_version), field_path: text(field_path) }
        }),
    }
}

fn text(text: &str) -> Text<'_> {
    text.into()
}
