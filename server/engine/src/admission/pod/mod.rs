//! A pod as policies see it: only the fields that they look at, borrowed from the request.
//!
//! It is read from JSON, or filled in field by field by whoever has a pod already; what policies make of it is the same.
//! Pods may come as an API server sends them, or as somebody wrote them; what the API's defaulting and conversion would
//! do to the fields at hand is done here (`pkg/apis/core/v1/defaults.go` and `conversion.go`).

mod projected;
mod read;
mod text;
mod volume;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use crate::object::meta::{nullable, nullable_list, nullable_objects, objects, optional_object};

pub use projected::{ConfigMap, DownwardApi, FieldRef, Item, ProjectedSource, Token};
pub(super) use read::{complete, read};
pub use text::{Pairs, Text};
pub use volume::{Volume, VolumeSource};

/// `v1.Pod`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodView<'a> {
    /// Empty, or `v1`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub api_version: Text<'a>,
    /// Empty, or `Pod`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub kind: Text<'a>,
    /// `None`: there is no such object in the pod, so that a patch has to make it.
    #[serde(borrow, deserialize_with = "optional_object")]
    pub metadata: Option<Metadata<'a>>,
    /// A pod without is refused.
    #[serde(borrow, deserialize_with = "optional_object")]
    pub spec: Option<Spec<'a>>,
}

/// `metav1.ObjectMeta`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata<'a> {
    /// `name`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub name: Text<'a>,
    /// `generateName`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub generate_name: Text<'a>,
    /// `None`: there is no such object in the pod, so that a patch has to make it.
    #[serde(borrow)]
    pub annotations: Option<Pairs<'a>>,
}

/// `v1.PodSpec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec<'a> {
    /// `serviceAccountName`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub service_account_name: Text<'a>,
    /// The deprecated alias of `serviceAccountName`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub service_account: Text<'a>,
    /// `hostNetwork`.
    #[serde(deserialize_with = "nullable")]
    pub host_network: bool,
    /// `hostPID`.
    #[serde(rename = "hostPID", deserialize_with = "nullable")]
    pub host_pid: bool,
    /// `hostIPC`.
    #[serde(rename = "hostIPC", deserialize_with = "nullable")]
    pub host_ipc: bool,
    /// `runtimeClassName`.
    #[serde(borrow)]
    pub runtime_class_name: Option<Text<'a>>,
    /// `None`: there is no such object, so that a patch has to make it.
    #[serde(borrow, deserialize_with = "optional_object")]
    pub security_context: Option<PodSecurityContext<'a>>,
    /// `volumes`.
    #[serde(borrow, deserialize_with = "nullable_list")]
    pub volumes: Vec<Volume<'a>>,
    /// `initContainers`.
    #[serde(borrow, deserialize_with = "objects")]
    pub init_containers: Vec<Container<'a>>,
    /// `containers`.
    #[serde(borrow, deserialize_with = "objects")]
    pub containers: Vec<Container<'a>>,
    /// `ephemeralContainers`.
    #[serde(borrow, deserialize_with = "objects")]
    pub ephemeral_containers: Vec<Container<'a>>,
}

/// `v1.PodSecurityContext`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSecurityContext<'a> {
    /// `seLinuxOptions`.
    #[serde(borrow, deserialize_with = "optional_object")]
    pub se_linux_options: Option<SeLinux<'a>>,
    /// `runAsUser`.
    pub run_as_user: Option<i64>,
    /// `runAsGroup`.
    pub run_as_group: Option<i64>,
    /// `runAsNonRoot`.
    pub run_as_non_root: Option<bool>,
    /// An empty list is not the same as none: only the latter is filled in.
    #[serde(deserialize_with = "optional_list")]
    pub supplemental_groups: Option<Vec<i64>>,
    /// `fsGroup`.
    pub fs_group: Option<i64>,
    /// `sysctls`.
    #[serde(borrow, deserialize_with = "nullable_objects")]
    pub sysctls: Vec<Sysctl<'a>>,
    /// `seccompProfile`.
    #[serde(borrow, deserialize_with = "optional_object")]
    pub seccomp_profile: Option<Profile<'a>>,
    /// Of Kubernetes 1.30 and later; 1.24 only had the annotation.
    #[serde(borrow, deserialize_with = "optional_object")]
    pub app_armor_profile: Option<Profile<'a>>,
}

/// `v1.Container` and `v1.EphemeralContainer`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container<'a> {
    /// `name`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub name: Text<'a>,
    /// `ports`.
    #[serde(deserialize_with = "nullable_objects")]
    pub ports: Vec<Port>,
    /// `volumeMounts`.
    #[serde(borrow, deserialize_with = "nullable_objects")]
    pub volume_mounts: Vec<VolumeMount<'a>>,
    /// `None`: there is no such object, so that a patch has to make it.
    #[serde(borrow, deserialize_with = "optional_object")]
    pub security_context: Option<SecurityContext<'a>>,
}

/// `v1.ContainerPort`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    /// `containerPort`.
    #[serde(deserialize_with = "nullable")]
    pub container_port: i32,
    /// `hostPort`.
    #[serde(deserialize_with = "nullable")]
    pub host_port: i32,
}

/// `v1.VolumeMount`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeMount<'a> {
    /// `name`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub name: Text<'a>,
    /// `readOnly`.
    #[serde(deserialize_with = "nullable")]
    pub read_only: bool,
}

/// `v1.SecurityContext`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecurityContext<'a> {
    /// `capabilities`.
    #[serde(borrow, deserialize_with = "optional_object")]
    pub capabilities: Option<Capabilities<'a>>,
    /// `privileged`.
    pub privileged: Option<bool>,
    /// `seLinuxOptions`.
    #[serde(borrow, deserialize_with = "optional_object")]
    pub se_linux_options: Option<SeLinux<'a>>,
    /// `runAsUser`.
    pub run_as_user: Option<i64>,
    /// `runAsGroup`.
    pub run_as_group: Option<i64>,
    /// `runAsNonRoot`.
    pub run_as_non_root: Option<bool>,
    /// `readOnlyRootFilesystem`.
    pub read_only_root_filesystem: Option<bool>,
    /// `allowPrivilegeEscalation`.
    pub allow_privilege_escalation: Option<bool>,
    /// `procMount`.
    #[serde(borrow)]
    pub proc_mount: Option<Text<'a>>,
    /// `seccompProfile`.
    #[serde(borrow, deserialize_with = "optional_object")]
    pub seccomp_profile: Option<Profile<'a>>,
    /// Of Kubernetes 1.30 and later; 1.24 only had the annotation.
    #[serde(borrow, deserialize_with = "optional_object")]
    pub app_armor_profile: Option<Profile<'a>>,
}

/// `v1.Capabilities`. `None` is Go's nil slice, which is printed otherwise than an empty one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Capabilities<'a> {
    /// `add`.
    #[serde(borrow, deserialize_with = "optional_list")]
    pub add: Option<Vec<Text<'a>>>,
    /// `drop`.
    #[serde(borrow, deserialize_with = "optional_list")]
    pub drop: Option<Vec<Text<'a>>>,
}

/// `v1.SELinuxOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SeLinux<'a> {
    /// `user`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub user: Text<'a>,
    /// `role`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub role: Text<'a>,
    /// `type`.
    #[serde(rename = "type", borrow, deserialize_with = "nullable")]
    pub type_: Text<'a>,
    /// `level`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub level: Text<'a>,
}

/// `v1.SeccompProfile` and `v1.AppArmorProfile`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Profile<'a> {
    /// `type`.
    #[serde(rename = "type", borrow, deserialize_with = "nullable")]
    pub type_: Text<'a>,
    /// `localhostProfile`.
    #[serde(borrow)]
    pub localhost_profile: Option<Text<'a>>,
}

impl Profile<'_> {
    /// The annotation that says the same; none for what has none.
    pub(super) fn as_annotation(&self) -> Option<Cow<'_, str>> {
        match (&*self.type_, &self.localhost_profile) {
            ("Unconfined", _) => Some("unconfined".into()),
            ("RuntimeDefault", _) => Some("runtime/default".into()),
            ("Localhost", Some(profile)) => Some(format!("localhost/{}", &**profile).into()),
            _ => None,
        }
    }
}

/// `v1.Sysctl`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Sysctl<'a> {
    /// `name`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub name: Text<'a>,
}

/// Reads a list of which it matters whether it is there; `null` stands for the default of its element.
fn optional_list<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    let list: Option<Vec<Option<T>>> = Option::deserialize(deserializer)?;
    Ok(list.map(|list| list.into_iter().map(Option::unwrap_or_default).collect()))
}

/// Which of the three lists a container stands in, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub list: &'static str,
    pub index: usize,
}

/// `spec.containers[0]`.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "spec.{}[{}]", self.list, self.index)
    }
}

impl<'a> Spec<'a> {
    /// All containers with their places, in the order in which Kubernetes visits them: init, ordinary, ephemeral.
    pub(super) fn all_containers(&self) -> impl Iterator<Item = (Place, &Container<'a>)> {
        let list = |list, containers: &'_ [Container<'a>]| {
            (0..containers.len()).map(move |index| Place { list, index })
        };
        let places = list("initContainers", &self.init_containers)
            .chain(list("containers", &self.containers))
            .chain(list("ephemeralContainers", &self.ephemeral_containers));
        let containers =
            self.init_containers.iter().chain(&self.containers).chain(&self.ephemeral_containers);
        places.zip(containers)
    }

    /// The same containers, to be changed.
    pub(super) fn all_containers_mut(&mut self) -> impl Iterator<Item = &mut Container<'a>> {
        self.init_containers.iter_mut().chain(&mut self.containers).chain(&mut self.ephemeral_containers)
    }
}

impl<'a> PodView<'a> {
    /// The value of an annotation; of one that is not there, the empty string, as in Go.
    pub(super) fn annotation(&self, key: &str) -> &str {
        self.annotations().and_then(|annotations| annotations.get(key)).unwrap_or_default()
    }

    pub(super) fn annotations(&self) -> Option<&Pairs<'a>> {
        self.metadata.as_ref()?.annotations.as_ref()
    }

    /// What messages call the pod: its name, or else its generateName.
    pub(super) fn name(&self) -> &str {
        self.metadata
            .as_ref()
            .map_or("", |meta| if meta.name.is_empty() { &*meta.generate_name } else { &*meta.name })
    }

    /// Sets an annotation.
    pub(super) fn annotate(&mut self, key: &str, value: String) {
        self.metadata.get_or_insert_default().annotations.get_or_insert_default().set(key, value);
    }
}
