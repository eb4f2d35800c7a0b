//! The host's namespaces and ports: `hostNetwork`, `hostPID`, `hostIPC`, `hostPorts`. From `provider.go`.

use std::fmt;

use super::{At, Violations};
use crate::admission::overlay::Merged;
use crate::admission::pod::{Container, Place};
use crate::object::pod_security_policy::{HostPortRange, PodSecurityPolicySpec};
use crate::text::join;

/// Kubernetes reports these at the security context, where its internal type has them.
pub(in crate::admission) fn check_namespaces(
    policy: &PodSecurityPolicySpec,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    let namespaces = [
        ("hostNetwork", "Host network", policy.host_network, pod.spec.host_network),
        ("hostPID", "Host PID", policy.host_pid, pod.spec.host_pid),
        ("hostIPC", "Host IPC", policy.host_ipc, pod.spec.host_ipc),
    ];
    for (control, name, allowed, asked) in namespaces {
        if asked && !allowed {
            let field = format_args!("spec.securityContext.{control}");
            let help = format_args!("take spec.{control} away");
            found.invalid(
                At { control, field },
                true,
                format_args!("{name} is not allowed to be used"),
                help,
            );
        }
    }
}

pub(in crate::admission) fn check_ports(
    policy: &PodSecurityPolicySpec,
    place: Place,
    container: &Container<'_>,
    found: &mut Violations<'_>,
) {
    let allowed = &policy.host_ports;
    for port in container.ports.iter().map(|port| port.host_port).filter(|port| *port > 0) {
        if !allowed.iter().any(|range| range.min <= port && port <= range.max) {
            let ranges = Ranges(allowed);
            let detail =
                format_args!("Host port {port} is not allowed to be used. Allowed ports: [{ranges}]");
            let none = format_args!("take hostPort {port} away");
            let some = format_args!("use a hostPort of {ranges} instead of {port}, or none");
            // The path does not tell which of the container's ports, as Kubernetes has it.
            found.invalid(
                At { control: "hostPorts", field: format_args!("{place}.hostPort") },
                port,
                detail,
                if allowed.is_empty() { none } else { some },
            );
        }
    }
}

/// `hostPortRangesToString`.
struct Ranges<'a>(&'a [HostPortRange]);

impl fmt::Display for Ranges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(
            f,
            self.0,
            ",",
            |f, HostPortRange { min, max }| {
                if min == max { write!(f, "{min}") } else { write!(f, "{min}-{max}") }
            },
        )
    }
}
