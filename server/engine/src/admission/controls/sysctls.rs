//! `forbiddenSysctls` and `allowedUnsafeSysctls`. From `sysctl/mustmatchpatterns.go`.
//!
//! A trailing `*` is a prefix. What is forbidden is forbidden even if it is safe; otherwise the safe ones are allowed,
//! and those that the policy names.

use super::{At, Violations};
use crate::admission::overlay::Merged;
use crate::object::pod_security_policy::PodSecurityPolicySpec;
use crate::text::Quoted;

/// `SafeSysctlAllowlist` of Kubernetes v1.24.
const SAFE: [&str; 5] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
];

fn matches(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    })
}

pub(in crate::admission) fn check(
    policy: &PodSecurityPolicySpec,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    let sysctls = pod.context().map(|context| context.sysctls.as_slice()).unwrap_or_default();
    for (index, sysctl) in sysctls.iter().enumerate() {
        let name = Quoted(&sysctl.name);
        let what = if matches(&policy.forbidden_sysctls, &sysctl.name) {
            "sysctl"
        } else if SAFE.contains(&&*sysctl.name) || matches(&policy.allowed_unsafe_sysctls, &sysctl.name) {
            continue;
        } else {
            "unsafe sysctl"
        };
        let detail = format_args!("{what} {name} is not allowed");
        // The path is as irregular as Kubernetes has it.
        let field = format_args!("pod.spec.securityContext.sysctls[{index}]");
        let help = format_args!("take {name} out of spec.securityContext.sysctls");
        found.forbidden(At { control: "sysctls", field }, detail, help);
    }
}
