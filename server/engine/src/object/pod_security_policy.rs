//! `policy/v1beta1 PodSecurityPolicy`, as written. `extensions/v1beta1` and Gavel's own CRD have the same spec.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::meta::{nullable, nullable_list, nullable_object, nullable_objects, optional_object};

/// The group of Gavel's own CustomResourceDefinition, for clusters that no longer have `policy/v1beta1`.
pub const CRD_GROUP: &str = "policy.gavel.dev";

/// A PodSecurityPolicy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodSecurityPolicy {
    /// Policies are tried in the order of their names, by bytes.
    pub name: String,
    /// AppArmor and seccomp are set here.
    pub annotations: BTreeMap<String, String>,
    /// Everything else.
    pub spec: PodSecurityPolicySpec,
}

/// `PodSecurityPolicySpec`; fields as in the API.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are those of policy/v1beta1, which documents them")]
pub struct PodSecurityPolicySpec {
    #[serde(deserialize_with = "nullable")]
    pub privileged: bool,
    #[serde(deserialize_with = "nullable_list")]
    pub default_add_capabilities: Vec<String>,
    #[serde(deserialize_with = "nullable_list")]
    pub required_drop_capabilities: Vec<String>,
    #[serde(deserialize_with = "nullable_list")]
    pub allowed_capabilities: Vec<String>,
    #[serde(deserialize_with = "nullable_list")]
    pub volumes: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub host_network: bool,
    #[serde(deserialize_with = "nullable_objects")]
    pub host_ports: Vec<HostPortRange>,
    #[serde(rename = "hostPID", deserialize_with = "nullable")]
    pub host_pid: bool,
    #[serde(rename = "hostIPC", deserialize_with = "nullable")]
    pub host_ipc: bool,
    #[serde(rename = "seLinux", deserialize_with = "nullable_object")]
    pub se_linux: SeLinuxStrategy,
    #[serde(deserialize_with = "nullable_object")]
    pub run_as_user: RunAsUserStrategy,
    #[serde(deserialize_with = "optional_object")]
    pub run_as_group: Option<GroupStrategy>,
    #[serde(deserialize_with = "nullable_object")]
    pub supplemental_groups: GroupStrategy,
    #[serde(deserialize_with = "nullable_object")]
    pub fs_group: GroupStrategy,
    #[serde(deserialize_with = "nullable")]
    pub read_only_root_filesystem: bool,
    #[serde(deserialize_with = "nullable")]
    pub default_allow_privilege_escalation: Option<bool>,
    /// Unset means true.
    #[serde(deserialize_with = "nullable")]
    pub allow_privilege_escalation: Option<bool>,
    #[serde(deserialize_with = "nullable_objects")]
    pub allowed_host_paths: Vec<AllowedHostPath>,
    #[serde(deserialize_with = "nullable_objects")]
    pub allowed_flex_volumes: Vec<AllowedFlexVolume>,
    #[serde(rename = "allowedCSIDrivers", deserialize_with = "nullable_objects")]
    pub allowed_csi_drivers: Vec<AllowedCsiDriver>,
    #[serde(deserialize_with = "nullable_list")]
    pub allowed_unsafe_sysctls: Vec<String>,
    #[serde(deserialize_with = "nullable_list")]
    pub forbidden_sysctls: Vec<String>,
    #[serde(deserialize_with = "nullable_list")]
    pub allowed_proc_mount_types: Vec<String>,
    #[serde(deserialize_with = "optional_object")]
    pub runtime_class: Option<RuntimeClassStrategy>,
}

/// Host ports from `min` to `max`, inclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HostPortRange {
    /// First port.
    #[serde(deserialize_with = "nullable")]
    pub min: i32,
    /// Last port.
    #[serde(deserialize_with = "nullable")]
    pub max: i32,
}

/// User or group ids from `min` to `max`, inclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IdRange {
    /// First id.
    #[serde(deserialize_with = "nullable")]
    pub min: i64,
    /// Last id.
    #[serde(deserialize_with = "nullable")]
    pub max: i64,
}

/// `SELinuxStrategyOptions`. `rule`: `MustRunAs` or `RunAsAny`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SeLinuxStrategy {
    /// Kept as written: of an unknown rule Kubernetes skips the whole policy.
    #[serde(deserialize_with = "nullable")]
    pub rule: String,
    /// Required by `MustRunAs`.
    #[serde(rename = "seLinuxOptions", deserialize_with = "optional_object")]
    pub options: Option<SeLinuxOptions>,
}

/// `v1.SELinuxOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SeLinuxOptions {
    /// SELinux user.
    #[serde(deserialize_with = "nullable")]
    pub user: String,
    /// SELinux role.
    #[serde(deserialize_with = "nullable")]
    pub role: String,
    /// SELinux type.
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub type_: String,
    /// SELinux level.
    #[serde(deserialize_with = "nullable")]
    pub level: String,
}

/// `RunAsUserStrategyOptions`. `rule`: `MustRunAs`, `MustRunAsNonRoot` or `RunAsAny`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RunAsUserStrategy {
    /// Kept as written: of an unknown rule Kubernetes skips the whole policy.
    #[serde(deserialize_with = "nullable")]
    pub rule: String,
    /// Required by `MustRunAs`.
    #[serde(deserialize_with = "nullable_objects")]
    pub ranges: Vec<IdRange>,
}

/// The options of `runAsGroup`, `supplementalGroups` and `fsGroup`. `rule`: `MustRunAs`, `MayRunAs` or `RunAsAny`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GroupStrategy {
    /// Kept as written: of an unknown rule Kubernetes skips the whole policy.
    #[serde(deserialize_with = "nullable")]
    pub rule: String,
    /// Required by `MustRunAs` and `MayRunAs`.
    #[serde(deserialize_with = "nullable_objects")]
    pub ranges: Vec<IdRange>,
}

/// `AllowedHostPath`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AllowedHostPath {
    /// The path, or one above it.
    #[serde(deserialize_with = "nullable")]
    pub path_prefix: String,
    /// Whether it may only be mounted read-only.
    #[serde(deserialize_with = "nullable")]
    pub read_only: bool,
}

/// `AllowedFlexVolume`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AllowedFlexVolume {
    /// Name of the driver.
    #[serde(deserialize_with = "nullable")]
    pub driver: String,
}

/// `AllowedCSIDriver`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AllowedCsiDriver {
    /// Name of the driver.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
}

/// `RuntimeClassStrategyOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RuntimeClassStrategy {
    /// `*` means every runtime class.
    #[serde(deserialize_with = "nullable_list")]
    pub allowed_runtime_class_names: Vec<String>,
    /// Filled into pods that name none.
    #[serde(deserialize_with = "nullable")]
    pub default_runtime_class_name: Option<String>,
}
