//! `policy/v1beta1 PodSecurityPolicy`, as written. `extensions/v1beta1` and Gavel's own CRD have the same spec.
//!
//! Fields are described in the words of `staging/src/k8s.io/api/policy/v1beta1/types.go` of Kubernetes v1.24: the
//! CRD's schema takes its descriptions from here.

pub mod schema;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::meta::{nullable, nullable_list, nullable_object, nullable_objects, optional_object};

/// API group of Gavel's own PodSecurityPolicy resource, for clusters that no longer have Kubernetes'. An API server
/// only takes custom resources in groups that are domains, so `policy` and `extensions` are out.
pub const CRD_GROUP: &str = "policy.gavel.dev";

/// A PodSecurityPolicy.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub struct PodSecurityPolicy {
    /// Policies are tried in the order of their names, by bytes.
    pub name: String,
    /// AppArmor and seccomp are set here.
    pub annotations: BTreeMap<String, String>,
    /// Everything else.
    pub spec: PodSecurityPolicySpec,
}

/// spec defines the policy enforced.
#[derive(Clone, Debug, Default, PartialEq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["seLinux", "runAsUser", "supplementalGroups", "fsGroup"],
    "x-kubernetes-validations" = schema::SPEC_RULES
))]
pub struct PodSecurityPolicySpec {
    /// privileged determines if a pod can request to be run as privileged.
    #[serde(deserialize_with = "nullable")]
    pub privileged: bool,
    /// defaultAddCapabilities is the default set of capabilities that will be added to the container unless the pod
    /// spec specifically drops the capability. You may not list a capability in both defaultAddCapabilities and
    /// requiredDropCapabilities. Capabilities added here are implicitly allowed, and need not be included in the
    /// allowedCapabilities list.
    #[serde(deserialize_with = "nullable_list")]
    #[schemars(schema_with = "schema::capabilities")]
    pub default_add_capabilities: Vec<String>,
    /// requiredDropCapabilities are the capabilities that will be dropped from the container. These are required to be
    /// dropped and cannot be added.
    #[serde(deserialize_with = "nullable_list")]
    #[schemars(schema_with = "schema::capabilities")]
    pub required_drop_capabilities: Vec<String>,
    /// allowedCapabilities is a list of capabilities that can be requested to add to the container. Capabilities in
    /// this field may be added at the pod author's discretion. You must not list a capability in both
    /// allowedCapabilities and requiredDropCapabilities. '*' means that any capability is allowed.
    #[serde(deserialize_with = "nullable_list")]
    #[schemars(schema_with = "schema::capabilities")]
    pub allowed_capabilities: Vec<String>,
    /// volumes is an allowlist of volume plugins. Empty indicates that no volumes may be used. To allow all volumes
    /// you may use '*'.
    #[serde(deserialize_with = "nullable_list")]
    #[schemars(schema_with = "schema::volumes")]
    pub volumes: Vec<String>,
    /// hostNetwork determines if the policy allows the use of HostNetwork in the pod spec.
    #[serde(deserialize_with = "nullable")]
    pub host_network: bool,
    /// hostPorts determines which host port ranges are allowed to be exposed.
    #[serde(deserialize_with = "nullable_objects")]
    pub host_ports: Vec<HostPortRange>,
    /// hostPID determines if the policy allows the use of HostPID in the pod spec.
    #[serde(rename = "hostPID", deserialize_with = "nullable")]
    pub host_pid: bool,
    /// hostIPC determines if the policy allows the use of HostIPC in the pod spec.
    #[serde(rename = "hostIPC", deserialize_with = "nullable")]
    pub host_ipc: bool,
    /// seLinux is the strategy that will dictate the allowable labels that may be set.
    #[serde(rename = "seLinux", deserialize_with = "nullable_object")]
    pub se_linux: SeLinuxStrategy,
    /// runAsUser is the strategy that will dictate the allowable RunAsUser values that may be set.
    #[serde(deserialize_with = "nullable_object")]
    pub run_as_user: RunAsUserStrategy,
    /// runAsGroup is the strategy that will dictate the allowable RunAsGroup values that may be set. If this field is
    /// omitted, the pod's RunAsGroup can take any value.
    #[serde(deserialize_with = "optional_object")]
    #[schemars(extend("x-kubernetes-validations" = schema::RUN_AS_GROUP_RULES))]
    pub run_as_group: Option<GroupStrategy>,
    /// supplementalGroups is the strategy that will dictate what supplemental groups are used by the SecurityContext.
    #[serde(deserialize_with = "nullable_object")]
    pub supplemental_groups: GroupStrategy,
    /// fsGroup is the strategy that will dictate what fs group is used by the SecurityContext.
    #[serde(deserialize_with = "nullable_object")]
    pub fs_group: GroupStrategy,
    /// readOnlyRootFilesystem when set to true will force containers to run with a read only root file system. If the
    /// container specifically requests to run with a non-read only root file system the PSP should deny the pod. If
    /// set to false the container may run with a read only root file system if it wishes but it will not be forced to.
    #[serde(deserialize_with = "nullable")]
    pub read_only_root_filesystem: bool,
    /// defaultAllowPrivilegeEscalation controls the default setting for whether a process can gain more privileges
    /// than its parent process.
    #[serde(deserialize_with = "nullable")]
    pub default_allow_privilege_escalation: Option<bool>,
    /// allowPrivilegeEscalation determines if a pod can request to allow privilege escalation. If unspecified, defaults
    /// to true.
    #[serde(deserialize_with = "nullable")]
    pub allow_privilege_escalation: Option<bool>,
    /// allowedHostPaths is an allowlist of host paths. Empty indicates that all host paths may be used.
    #[serde(deserialize_with = "nullable_objects")]
    #[schemars(length(max = 512))]
    pub allowed_host_paths: Vec<AllowedHostPath>,
    /// allowedFlexVolumes is an allowlist of Flexvolumes. Empty or nil indicates that all Flexvolumes may be used. This
    /// parameter is effective only when the usage of the Flexvolumes is allowed in the "volumes" field.
    #[serde(deserialize_with = "nullable_objects")]
    pub allowed_flex_volumes: Vec<AllowedFlexVolume>,
    /// allowedCSIDrivers is an allowlist of inline CSI drivers that must be explicitly set to be embedded within a pod
    /// spec. An empty value indicates that any CSI driver can be used for inline ephemeral volumes.
    #[serde(rename = "allowedCSIDrivers", deserialize_with = "nullable_objects")]
    pub allowed_csi_drivers: Vec<AllowedCsiDriver>,
    /// allowedUnsafeSysctls is a list of explicitly allowed unsafe sysctls, defaults to none. Each entry is either a
    /// plain sysctl name or ends in "*" in which case it is considered as a prefix of allowed sysctls. Single * means
    /// all unsafe sysctls are allowed. Kubelet has to allowlist all allowed unsafe sysctls explicitly to avoid
    /// rejection. For example, "foo.*" allows "foo.bar", "foo.baz", etc.
    #[serde(deserialize_with = "nullable_list")]
    #[schemars(schema_with = "schema::sysctls")]
    pub allowed_unsafe_sysctls: Vec<String>,
    /// forbiddenSysctls is a list of explicitly forbidden sysctls, defaults to none. Each entry is either a plain
    /// sysctl name or ends in "*" in which case it is considered as a prefix of forbidden sysctls. Single * means all
    /// sysctls are forbidden. For example, "foo.*" forbids "foo.bar", "foo.baz", etc.
    #[serde(deserialize_with = "nullable_list")]
    #[schemars(schema_with = "schema::sysctls")]
    pub forbidden_sysctls: Vec<String>,
    /// allowedProcMountTypes is an allowlist of allowed ProcMountTypes. Empty or nil indicates that only the
    /// DefaultProcMountType may be used.
    #[serde(deserialize_with = "nullable_list")]
    #[schemars(schema_with = "schema::proc_mount_types")]
    pub allowed_proc_mount_types: Vec<String>,
    /// runtimeClass is the strategy that will dictate the allowable RuntimeClasses for a pod. If this field is omitted,
    /// the pod's runtimeClassName field is unrestricted.
    #[serde(deserialize_with = "optional_object")]
    pub runtime_class: Option<RuntimeClassStrategy>,
}

/// HostPortRange defines a range of host ports that will be enabled by a policy for pods to use. It requires both the
/// start and end to be defined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["min", "max"]))]
pub struct HostPortRange {
    /// min is the start of the range, inclusive.
    #[serde(deserialize_with = "nullable")]
    #[schemars(range(min = 0, max = 65535))]
    pub min: i32,
    /// max is the end of the range, inclusive.
    #[serde(deserialize_with = "nullable")]
    #[schemars(range(min = 0, max = 65535))]
    pub max: i32,
}

/// IDRange provides a min/max of an allowed range of IDs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["min", "max"], "x-kubernetes-validations" = schema::ID_RANGE_RULES))]
pub struct IdRange {
    /// min is the start of the range, inclusive.
    #[serde(deserialize_with = "nullable")]
    #[schemars(range(min = 0))]
    pub min: i64,
    /// max is the end of the range, inclusive.
    #[serde(deserialize_with = "nullable")]
    #[schemars(range(min = 0))]
    pub max: i64,
}

// The rules of strategies are kept as written: of an unknown one Kubernetes skips the whole policy.

/// SELinuxStrategyOptions defines the strategy type and any options used to create the strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["rule"]))]
pub struct SeLinuxStrategy {
    /// rule is the strategy that will dictate the allowable labels that may be set.
    #[serde(deserialize_with = "nullable")]
    #[schemars(extend("enum" = schema::SE_LINUX_RULES))]
    pub rule: String,
    /// seLinuxOptions required to run as; required for MustRunAs: without them the policy is never used.
    #[serde(rename = "seLinuxOptions", deserialize_with = "optional_object")]
    pub options: Option<SeLinuxOptions>,
}

/// SELinuxOptions are the labels to be applied to the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SeLinuxOptions {
    /// User is a SELinux user label that applies to the container.
    #[serde(deserialize_with = "nullable")]
    pub user: String,
    /// Role is a SELinux role label that applies to the container.
    #[serde(deserialize_with = "nullable")]
    pub role: String,
    /// Type is a SELinux type label that applies to the container.
    #[serde(rename = "type", deserialize_with = "nullable")]
    pub type_: String,
    /// Level is SELinux level label that applies to the container.
    #[serde(deserialize_with = "nullable")]
    pub level: String,
}

/// RunAsUserStrategyOptions defines the strategy type and any options used to create the strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["rule"]))]
pub struct RunAsUserStrategy {
    /// rule is the strategy that will dictate the allowable RunAsUser values that may be set.
    #[serde(deserialize_with = "nullable")]
    #[schemars(extend("enum" = schema::USER_RULES))]
    pub rule: String,
    /// ranges are the allowed ranges of uids that may be used. If you would like to force a single uid then supply a
    /// single range with the same start and end. Required for MustRunAs: without them the policy is never used.
    #[serde(deserialize_with = "nullable_objects")]
    #[schemars(length(max = 1024))]
    pub ranges: Vec<IdRange>,
}

/// The options of `runAsGroup`, `supplementalGroups` and `fsGroup`: the strategy type and any options used to create
/// the strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["rule"]))]
pub struct GroupStrategy {
    /// rule is the strategy that will dictate the allowable group values that may be set.
    #[serde(deserialize_with = "nullable")]
    #[schemars(extend("enum" = schema::GROUP_RULES))]
    pub rule: String,
    /// ranges are the allowed ranges of gids that may be used. If you would like to force a single gid then supply a
    /// single range with the same start and end. Required for MustRunAs and MayRunAs: without them the policy is never
    /// used.
    #[serde(deserialize_with = "nullable_objects")]
    #[schemars(length(max = 1024))]
    pub ranges: Vec<IdRange>,
}

/// AllowedHostPath defines the host volume conditions that will be enabled by a policy for pods to use. It requires the
/// path prefix to be defined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["pathPrefix"]))]
pub struct AllowedHostPath {
    /// pathPrefix is the path prefix that the host volume must match. It does not support `*`. Trailing slashes are
    /// trimmed when validating the path prefix with a host path. For example, `/foo` would allow `/foo`, `/foo/` and
    /// `/foo/bar`, but not `/food` or `/etc/foo`.
    #[serde(deserialize_with = "nullable")]
    #[schemars(length(min = 1, max = 4096), extend("x-kubernetes-validations" = schema::PATH_PREFIX_RULES))]
    pub path_prefix: String,
    /// when set to true, will allow host volumes matching the pathPrefix only if all volume mounts are readOnly.
    #[serde(deserialize_with = "nullable")]
    pub read_only: bool,
}

/// AllowedFlexVolume represents a single Flexvolume that is allowed to be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["driver"]))]
pub struct AllowedFlexVolume {
    /// driver is the name of the Flexvolume driver.
    #[serde(deserialize_with = "nullable")]
    #[schemars(length(min = 1))]
    pub driver: String,
}

/// AllowedCSIDriver represents a single inline CSI Driver that is allowed to be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["name"]))]
pub struct AllowedCsiDriver {
    /// Name is the registered name of the CSI driver.
    #[serde(deserialize_with = "nullable")]
    #[schemars(length(min = 1, max = 63), regex(pattern = schema::CSI_DRIVER_NAME))]
    pub name: String,
}

/// RuntimeClassStrategyOptions define the strategy that will dictate the allowable RuntimeClasses for a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = schema::RUNTIME_CLASS_RULES))]
pub struct RuntimeClassStrategy {
    /// allowedRuntimeClassNames is an allowlist of RuntimeClass names that may be specified on a pod. A value of "*"
    /// means that any RuntimeClass name is allowed, and must be the only item in the list. An empty list requires the
    /// RuntimeClassName field to be unset.
    // v1beta1 calls this required, and writes `null` where there are none: an API server drops that, and would then
    // miss the field.
    #[serde(deserialize_with = "nullable_list")]
    #[schemars(schema_with = "schema::runtime_class_names")]
    pub allowed_runtime_class_names: Vec<String>,
    /// defaultRuntimeClassName is the default RuntimeClassName to set on the pod. The default MUST be allowed by the
    /// allowedRuntimeClassNames list. A value of nil does not mutate the Pod.
    #[serde(deserialize_with = "nullable")]
    #[schemars(length(max = 253), regex(pattern = schema::RUNTIME_CLASS_NAME))]
    pub default_runtime_class_name: Option<String>,
}
