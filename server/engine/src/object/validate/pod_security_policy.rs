//! PodSecurityPolicy. From `pkg/apis/policy/validation/validation.go` of Kubernetes v1.24, `ValidatePodSecurityPolicy`.
//!
//! Policies that Kubernetes takes and then cannot build (`MustRunAs` of users without ranges, of seLinux without
//! options) are taken here too: they are for admission to skip. Where two fields contradict each other, it is advice:
//! admission has an order for them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Errors, names};
use crate::object::PodSecurityPolicy;
use crate::object::pod_security_policy::schema::{
    GROUP_RULES, PROC_MOUNT_TYPES, SE_LINUX_RULES, USER_RULES, VOLUMES,
};
use crate::object::pod_security_policy::{
    AllowedHostPath, GroupStrategy, IdRange, PodSecurityPolicySpec, RuntimeClassStrategy,
};

const SYSCTL_MAX: usize = 253;
const CSI_NAME_MAX: usize = 63;

/// Looks at everything but metadata's own rules.
pub fn validate(policy: &PodSecurityPolicy, errors: &mut Errors, advice: &mut Errors) {
    annotations(&policy.annotations, errors);
    let spec = &policy.spec;
    rule("spec.runAsUser", &spec.run_as_user.rule, &USER_RULES, errors);
    ranges("spec.runAsUser", &spec.run_as_user.ranges, errors);
    if let Some(strategy) = &spec.run_as_group {
        run_as_group(strategy, errors);
    }
    rule("spec.seLinux", &spec.se_linux.rule, &SE_LINUX_RULES, errors);
    for (path, strategy) in
        [("spec.supplementalGroups", &spec.supplemental_groups), ("spec.fsGroup", &spec.fs_group)]
    {
        rule(path, &strategy.rule, &GROUP_RULES, errors);
        ranges(path, &strategy.ranges, errors);
    }
    for (index, volume) in spec.volumes.iter().enumerate() {
        if !VOLUMES.contains(&volume.as_str()) {
            errors.unsupported(format_args!("spec.volumes[{index}]"), volume, &VOLUMES);
        }
    }
    capabilities(spec, advice);
    // Unset, allowPrivilegeEscalation is true: `SetDefaults_PodSecurityPolicySpec`.
    if spec.default_allow_privilege_escalation == Some(true) && spec.allow_privilege_escalation == Some(false)
    {
        advice.push(
            "spec.defaultAllowPrivilegeEscalation",
            "cannot be true without also setting allowPrivilegeEscalation to true",
        );
    }
    for (index, kind) in spec.allowed_proc_mount_types.iter().enumerate() {
        if !PROC_MOUNT_TYPES.contains(&kind.as_str()) {
            errors.unsupported(format_args!("spec.allowedProcMountTypes[{index}]"), kind, &PROC_MOUNT_TYPES);
        }
    }
    host_paths(&spec.allowed_host_paths, errors);
    for (index, volume) in spec.allowed_flex_volumes.iter().enumerate() {
        if volume.driver.is_empty() {
            errors.push(format_args!("spec.allowedFlexVolumes[{index}].driver"), "must specify a driver");
        }
    }
    for (index, driver) in spec.allowed_csi_drivers.iter().enumerate() {
        csi_driver(&driver.name, &format!("spec.allowedCSIDrivers[{index}].name"), errors);
    }
    sysctls("spec.allowedUnsafeSysctls", &spec.allowed_unsafe_sysctls, errors, advice);
    sysctls("spec.forbiddenSysctls", &spec.forbidden_sysctls, errors, advice);
    sysctl_overlaps(&spec.allowed_unsafe_sysctls, &spec.forbidden_sysctls, advice);
    if let Some(strategy) = &spec.runtime_class {
        runtime_class(strategy, errors, advice);
    }
}

fn rule(path: &str, value: &str, supported: &[&str], errors: &mut Errors) {
    if !supported.contains(&value) {
        errors.unsupported(format_args!("{path}.rule"), value, supported);
    }
}

/// `validateIDRanges`.
fn ranges(path: &str, ranges: &[IdRange], errors: &mut Errors) {
    for (index, IdRange { min, max }) in ranges.iter().enumerate() {
        if *min < 0 {
            errors.push(format_args!("{path}.ranges[{index}].min"), format!("{min} is negative"));
        }
        if *max < 0 {
            errors.push(format_args!("{path}.ranges[{index}].max"), format!("{max} is negative"));
        }
        if min > max {
            errors.push(
                format_args!("{path}.ranges[{index}].min"),
                format!("min {min} is greater than max {max}"),
            );
        }
    }
}

/// `validatePSPRunAsGroup`: alone in that it looks at whether there are ranges.
fn run_as_group(strategy: &GroupStrategy, errors: &mut Errors) {
    let path = "spec.runAsGroup";
    match strategy.rule.as_str() {
        "RunAsAny" => {
            if !strategy.ranges.is_empty() {
                errors.push(format_args!("{path}.ranges"), "must be empty under the rule RunAsAny");
            }
        }
        "MustRunAs" | "MayRunAs" => {
            if strategy.ranges.is_empty() {
                errors.push(format_args!("{path}.ranges"), "must provide at least one range");
            }
            ranges(path, &strategy.ranges, errors);
        }
        other => errors.unsupported(format_args!("{path}.rule"), other, &GROUP_RULES),
    }
}

fn capabilities(spec: &PodSecurityPolicySpec, errors: &mut Errors) {
    let drops = &spec.required_drop_capabilities;
    if !drops.is_empty() && spec.allowed_capabilities.iter().any(|capability| capability == "*") {
        errors.push(
            "spec.requiredDropCapabilities",
            "must be empty when all capabilities are allowed by a wildcard",
        );
    }
    for (field, list) in [
        ("defaultAddCapabilities", &spec.default_add_capabilities),
        ("allowedCapabilities", &spec.allowed_capabilities),
    ] {
        for (index, capability) in list.iter().enumerate() {
            if drops.contains(capability) {
                errors.push(
                    format_args!("spec.{field}[{index}]"),
                    format!("capability {capability:?} is listed in {field} and requiredDropCapabilities"),
                );
            }
        }
    }
}

fn host_paths(paths: &[AllowedHostPath], errors: &mut Errors) {
    for (index, target) in paths.iter().enumerate() {
        let path = format!("spec.allowedHostPaths[{index}].pathPrefix");
        if target.path_prefix.is_empty() {
            errors.push(path, "is required");
        } else if has_backsteps(&target.path_prefix) {
            errors.invalid(path, &target.path_prefix, "must not contain '..'");
        }
    }
}

fn has_backsteps(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

/// `ValidateCSIDriverName` of `pkg/apis/core/validation`.
fn csi_driver(name: &str, path: &str, errors: &mut Errors) {
    if name.is_empty() {
        errors.push(path, "must specify the name of a driver");
    } else if name.len() > CSI_NAME_MAX {
        errors.invalid(path, name, format_args!("must be no more than {CSI_NAME_MAX} characters"));
    } else if let Some(complaint) = names::dns_subdomain(&name.to_lowercase()) {
        errors.invalid(path, name, complaint);
    }
}

/// `validatePodSecurityPolicySysctls`.
fn sysctls(path: &str, patterns: &[String], errors: &mut Errors, advice: &mut Errors) {
    for (index, pattern) in patterns.iter().enumerate() {
        if pattern.is_empty() {
            errors.push(format_args!("{path}[{index}]"), "empty sysctl not allowed");
        } else if !is_sysctl_pattern(pattern) {
            errors.invalid(
                format_args!("{path}[{index}]"),
                pattern,
                format_args!(
                    "must have at most {SYSCTL_MAX} characters, and be the name of a sysctl in lower case with dots, \
                     such as kernel.msgmax, or a prefix of one with a trailing '*'"
                ),
            );
        }
    }
    // The star covers everything only where it is the first sign, and a pattern that begins so has no other.
    if patterns.len() > 1 && patterns.iter().any(|pattern| pattern == "*") {
        advice.push(path, "if '*' is present, must not specify other sysctls");
    }
}

/// `sysctlPatternRegexp`: `([a-z0-9]([-_a-z0-9]*[a-z0-9])?\.)*([a-z0-9][-_a-z0-9]*)?[a-z0-9*]`.
fn is_sysctl_pattern(pattern: &str) -> bool {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| edge(byte) || byte == b'-' || byte == b'_';
    if pattern.len() > SYSCTL_MAX {
        return false;
    }
    let (segments, last) = match pattern.rsplit_once('.') {
        Some((segments, last)) => (Some(segments), last),
        None => (None, pattern),
    };
    let is_segment = |segment: &str| match segment.as_bytes() {
        [] => false,
        [only] => edge(*only),
        [first, middle @ .., last] => edge(*first) && edge(*last) && middle.iter().copied().all(inner),
    };
    let is_last = match last.as_bytes() {
        [] => false,
        [only] => edge(*only) || *only == b'*',
        [first, middle @ .., last] => {
            edge(*first) && (edge(*last) || *last == b'*') && middle.iter().copied().all(inner)
        }
    };
    is_last && segments.is_none_or(|segments| segments.split('.').all(is_segment))
}

/// `validatePodSecurityPolicySysctlListsDoNotOverlap`.
fn sysctl_overlaps(allowed: &[String], forbidden: &[String], errors: &mut Errors) {
    let mut overlap = |path: &str, index: usize, one: &str, other: &str| {
        errors.invalid(format_args!("{path}[{index}]"), one, format_args!("sysctl overlaps with {other}"));
    };
    for (i, allow) in allowed.iter().enumerate() {
        for (j, forbid) in forbidden.iter().enumerate() {
            let (in_allowed, in_forbidden) = match (allow.strip_suffix('*'), forbid.strip_suffix('*')) {
                (Some(allow), Some(forbid)) if allow.starts_with(forbid) => (true, false),
                (Some(allow), Some(forbid)) => (false, forbid.starts_with(allow)),
                (Some(allow), None) => (false, forbid.starts_with(allow)),
                (None, Some(forbid)) => (allow.starts_with(forbid), false),
                (None, None) => (allow == forbid, false),
            };
            if in_allowed {
                overlap("spec.allowedUnsafeSysctls", i, allow, forbid);
            }
            if in_forbidden {
                overlap("spec.forbiddenSysctls", j, forbid, allow);
            }
        }
    }
}

/// `validateRuntimeClassStrategy`.
fn runtime_class(strategy: &RuntimeClassStrategy, errors: &mut Errors, advice: &mut Errors) {
    let path = "spec.runtimeClass";
    let mut allowed = BTreeSet::new();
    for (index, name) in strategy.allowed_runtime_class_names.iter().enumerate() {
        let path = format!("{path}.allowedRuntimeClassNames[{index}]");
        if name != "*"
            && let Some(complaint) = names::dns_subdomain(name)
        {
            errors.invalid(&path, name, complaint);
        }
        if !allowed.insert(name.as_str()) {
            advice.push(&path, format!("{name:?} is there twice"));
        }
    }
    if let Some(name) = &strategy.default_runtime_class_name {
        if let Some(complaint) = names::dns_subdomain(name) {
            errors.invalid(format_args!("{path}.defaultRuntimeClassName"), name, complaint);
        }
        if !allowed.contains(name.as_str()) && !allowed.contains("*") {
            advice.push(
                format_args!("{path}.allowedRuntimeClassNames"),
                format!("default {name:?} must be allowed"),
            );
        }
    }
    if allowed.contains("*") && strategy.allowed_runtime_class_names.len() > 1 {
        advice.push(
            format_args!("{path}.allowedRuntimeClassNames"),
            "if '*' is present, must not specify other RuntimeClass names",
        );
    }
}

/// `ValidatePodSecurityPolicySpecificAnnotations`.
fn annotations(annotations: &BTreeMap<String, String>, errors: &mut Errors) {
    type Format = fn(&str) -> Option<&'static str>;
    // Of the lists, those of seccomp may hold `*`.
    let formats: [(&str, Format, bool); 4] = [
        ("apparmor.security.beta.kubernetes.io/defaultProfileName", app_armor, false),
        ("apparmor.security.beta.kubernetes.io/allowedProfileNames", app_armor, true),
        ("seccomp.security.alpha.kubernetes.io/defaultProfileName", seccomp, false),
        ("seccomp.security.alpha.kubernetes.io/allowedProfileNames", seccomp_or_any, true),
    ];
    for (key, format, is_list) in formats {
        let Some(value) = annotations.get(key).filter(|value| !value.is_empty()) else { continue };
        let separator = |sign: char| is_list && sign == ',';
        for profile in value.split(separator) {
            if let Some(complaint) = format(profile) {
                errors.invalid(format_args!("metadata.annotations[{key}]"), profile, complaint);
            }
        }
    }
}

/// `ValidateAppArmorProfileFormat` of `pkg/apis/core/validation`.
fn app_armor(profile: &str) -> Option<&'static str> {
    let is_good =
        matches!(profile, "" | "runtime/default" | "unconfined") || profile.starts_with("localhost/");
    (!is_good).then_some("an AppArmor profile is runtime/default, unconfined or localhost/NAME")
}

/// `ValidateSeccompProfile` of `pkg/apis/core/validation`.
fn seccomp(profile: &str) -> Option<&'static str> {
    if matches!(profile, "runtime/default" | "docker/default" | "unconfined") {
        return None;
    }
    match profile.strip_prefix("localhost/") {
        Some(path) if path.starts_with('/') => Some("must be a relative path"),
        Some(path) if has_backsteps(path) => Some("must not contain '..'"),
        Some(_) => None,
        None => Some("a seccomp profile is runtime/default, docker/default, unconfined or localhost/PATH"),
    }
}

fn seccomp_or_any(profile: &str) -> Option<&'static str> {
    if profile == "*" { None } else { seccomp(profile) }
}

#[cfg(test)]
mod tests;
