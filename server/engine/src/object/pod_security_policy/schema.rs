//! The schema of [`PodSecurityPolicySpec`], as a CustomResourceDefinition carries it.
//!
//! It refuses what `ValidatePodSecurityPolicySpec` (`pkg/apis/policy/validation/validation.go` of Kubernetes v1.24)
//! refuses, as far as a schema can say it, and takes what that takes: `MustRunAs` of users without ranges, say, which
//! no pod will ever be admitted by. It goes further in what it takes a length or a bound to say: host ports are ports,
//! ranges have both ends, and lists have an end, generous as it is, since an API server estimates what a rule may cost
//! before it takes the definition.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema as _, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, Value};

use super::PodSecurityPolicySpec;

/// An element of `x-kubernetes-validations`.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    /// In CEL; `self` is the value that the rule stands at.
    rule: &'static str,
    /// What is said when the rule is broken.
    message: &'static str,
}

pub(crate) const SE_LINUX_RULES: [&str; 2] = ["MustRunAs", "RunAsAny"];
pub(crate) const USER_RULES: [&str; 3] = ["MustRunAs", "MustRunAsNonRoot", "RunAsAny"];
pub(crate) const GROUP_RULES: [&str; 3] = ["MayRunAs", "MustRunAs", "RunAsAny"];
pub(crate) const PROC_MOUNT_TYPES: [&str; 2] = ["Default", "Unmasked"];

/// Volume types that a policy may allow. From `pkg/security/podsecuritypolicy/util`, `GetAllFSTypesAsSet`, and `*`;
/// and `storageOS`, as policies have it whose author did not know that Kubernetes spells this one `storageos`.
pub(crate) const VOLUMES: [&str; 31] = [
    "*",
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephFS",
    "cinder",
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "hostPath",
    "iscsi",
    "nfs",
    "persistentVolumeClaim",
    "photonPersistentDisk",
    "portworxVolume",
    "projected",
    "quobyte",
    "rbd",
    "scaleIO",
    "secret",
    "storageOS",
    "storageos",
    "vsphereVolume",
];

/// `ValidateCSIDriverName`: a DNS subdomain, once in lower case.
pub(super) const CSI_DRIVER_NAME: &str =
    r"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*$";
/// `ValidateRuntimeClassName`: a DNS subdomain.
pub(super) const RUNTIME_CLASS_NAME: &str =
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const RUNTIME_CLASS_NAME_OR_ANY: &str =
    r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$";
/// `SysctlPatternFmt`.
const SYSCTL_PATTERN: &str = r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?\.)*([a-z0-9][-_a-z0-9]*)?[a-z0-9*]$";

/// Rules that look at several fields.
pub(super) const SPEC_RULES: [Rule; 5] = [
    Rule {
        rule: "!has(self.requiredDropCapabilities) || size(self.requiredDropCapabilities) == 0 || \
               !has(self.allowedCapabilities) || !('*' in self.allowedCapabilities)",
        message: "requiredDropCapabilities must be empty when all capabilities are allowed by a wildcard",
    },
    Rule {
        rule: "!has(self.requiredDropCapabilities) || !has(self.defaultAddCapabilities) || \
               self.defaultAddCapabilities.all(c, !(c in self.requiredDropCapabilities))",
        message: "a capability is listed in defaultAddCapabilities and requiredDropCapabilities",
    },
    Rule {
        rule: "!has(self.requiredDropCapabilities) || !has(self.allowedCapabilities) || \
               self.allowedCapabilities.all(c, !(c in self.requiredDropCapabilities))",
        message: "a capability is listed in allowedCapabilities and requiredDropCapabilities",
    },
    Rule {
        rule: "!has(self.defaultAllowPrivilegeEscalation) || !self.defaultAllowPrivilegeEscalation || \
               !has(self.allowPrivilegeEscalation) || self.allowPrivilegeEscalation",
        message: "defaultAllowPrivilegeEscalation cannot be true without also setting allowPrivilegeEscalation to true",
    },
    // Of two patterns one begins with the other; of a pattern and a name, the name begins with the pattern.
    Rule {
        rule: "!has(self.allowedUnsafeSysctls) || !has(self.forbiddenSysctls) || \
               self.allowedUnsafeSysctls.all(a, self.forbiddenSysctls.all(f, a != f && \
               (!a.endsWith('*') || !f.startsWith(a.substring(0, size(a) - 1))) && \
               (!f.endsWith('*') || !a.startsWith(f.substring(0, size(f) - 1)))))",
        message: "a sysctl of allowedUnsafeSysctls overlaps with one of forbiddenSysctls",
    },
];

/// `validateIDRanges`.
pub(super) const ID_RANGE_RULES: [Rule; 1] =
    [Rule { rule: "self.min <= self.max", message: "min cannot be greater than max" }];

/// `validatePSPRunAsGroup`: alone in that it looks at whether there are ranges.
pub(super) const RUN_AS_GROUP_RULES: [Rule; 2] = [
    Rule {
        rule: "self.rule != 'RunAsAny' || !has(self.ranges) || size(self.ranges) == 0",
        message: "ranges must be empty under the rule RunAsAny",
    },
    Rule {
        rule: "self.rule == 'RunAsAny' || (has(self.ranges) && size(self.ranges) > 0)",
        message: "must provide at least one range under the rules MustRunAs and MayRunAs",
    },
];

/// `validatePSPAllowedHostPaths`.
pub(super) const PATH_PREFIX_RULES: [Rule; 1] =
    [Rule { rule: r"!self.matches('(^|/)\\.\\.(/|$)')", message: "must not contain '..'" }];

/// `validateRuntimeClassStrategy`.
pub(super) const RUNTIME_CLASS_RULES: [Rule; 3] = [
    Rule {
        rule: "!has(self.allowedRuntimeClassNames) || size(self.allowedRuntimeClassNames) <= 1 || \
               !('*' in self.allowedRuntimeClassNames)",
        message: "if '*' is present, must not specify other RuntimeClass names",
    },
    Rule {
        rule: "!has(self.defaultRuntimeClassName) || (has(self.allowedRuntimeClassNames) && \
               ('*' in self.allowedRuntimeClassNames || \
               self.defaultRuntimeClassName in self.allowedRuntimeClassNames))",
        message: "defaultRuntimeClassName must be allowed by allowedRuntimeClassNames",
    },
    Rule {
        rule: "!has(self.allowedRuntimeClassNames) || \
               self.allowedRuntimeClassNames.all(a, self.allowedRuntimeClassNames.exists_one(b, a == b))",
        message: "allowedRuntimeClassNames has a name twice",
    },
];

/// `validatePodSecurityPolicySysctls`.
const SYSCTL_RULES: [Rule; 1] = [Rule {
    rule: "size(self) <= 1 || !('*' in self)",
    message: "if '*' is present, must not specify other sysctls",
}];

/// What an API server fills in: `SetDefaults_PodSecurityPolicySpec` of `pkg/apis/policy/v1beta1/defaults.go`; and what
/// Kubernetes' table of policies shows although nobody wrote it.
const DEFAULTS: [(&str, bool); 3] =
    [("allowPrivilegeEscalation", true), ("privileged", false), ("readOnlyRootFilesystem", false)];

pub(super) fn capabilities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "maxItems": 256, "items": { "type": "string", "maxLength": 64 } })
}

pub(super) fn volumes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "string", "enum": VOLUMES } })
}

pub(super) fn proc_mount_types(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "string", "enum": PROC_MOUNT_TYPES } })
}

pub(super) fn sysctls(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 128,
        "items": { "type": "string", "minLength": 1, "maxLength": 253, "pattern": SYSCTL_PATTERN },
        "x-kubernetes-validations": SYSCTL_RULES,
    })
}

pub(super) fn runtime_class_names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": { "type": "string", "maxLength": 253, "pattern": RUNTIME_CLASS_NAME_OR_ANY },
    })
}

/// The schema of a PodSecurityPolicy's `spec`: structural, as `apiextensions.k8s.io/v1` wants it.
pub fn spec() -> Value {
    let mut generator =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let mut schema = PodSecurityPolicySpec::json_schema(&mut generator).to_value();
    structural(&mut schema);
    for (field, default) in DEFAULTS {
        schema["properties"][field]["default"] = default.into();
    }
    schema
}

/// Leaves out what a structural schema may not have or need not say.
fn structural(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    // Serde's defaults: an API server would write them into every object.
    schema.remove("default");
    schema.remove("title");
    // An API server drops `null` from where it is not foreseen, as Kubernetes' own types do.
    if let Some(Value::Array(types)) = schema.get("type")
        && let Some(kind) = types.iter().find(|kind| *kind != "null").cloned()
    {
        schema.insert("type".to_owned(), kind);
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        Map::values_mut(properties).for_each(structural);
    }
    if let Some(items) = schema.get_mut("items") {
        structural(items);
    }
}

#[cfg(test)]
mod tests;
