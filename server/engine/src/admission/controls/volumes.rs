//! `volumes`, `allowedHostPaths`, `allowedFlexVolumes`, `allowedCSIDrivers`. From `provider.go` and `util/util.go`.
//!
//! A volume's kind must be named, or `*`; `secret` also admits the projected volume of a service account token. A host
//! path must be at or below a prefix, and be mounted read-only where the prefixes that allow it all say so. Lists of
//! drivers that are empty allow every driver.

use super::{At, Violations};
use crate::admission::overlay::Merged;
use crate::admission::pod::Volume;
use crate::object::pod_security_policy::PodSecurityPolicySpec;
use crate::text::{Joined, Quoted};

pub(in crate::admission) fn check(
    policy: &PodSecurityPolicySpec,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    for (index, volume) in pod.spec.volumes.iter().enumerate() {
        let kind = &*volume.kind;
        if !allows_kind(policy, volume) {
            let field = format_args!("spec.volumes[{index}]");
            let detail = format_args!("{kind} volumes are not allowed to be used");
            let none = format_args!("take volume {} away: the policy allows none", Quoted(&volume.name));
            let some = format_args!("use a volume of one of the kinds {}", Joined(&policy.volumes, ", "));
            let help = if policy.volumes.is_empty() { none } else { some };
            found.invalid(At { control: "volumes", field }, Quoted(kind), detail, help);
            continue;
        }
        match kind {
            "hostPath" => check_host_path(policy, index, volume, pod, found),
            "flexVolume" => {
                let drivers: Vec<&str> =
                    policy.allowed_flex_volumes.iter().map(|allowed| allowed.driver.as_str()).collect();
                let at =
                    At { control: "allowedFlexVolumes", field: format_args!("spec.volumes[{index}].driver") };
                check_driver(
                    &drivers,
                    &volume.detail,
                    at,
                    "Flexvolume driver is not allowed to be used",
                    found,
                );
            }
            "csi" => {
                let drivers: Vec<&str> =
                    policy.allowed_csi_drivers.iter().map(|allowed| allowed.name.as_str()).collect();
                let at = At {
                    control: "allowedCSIDrivers",
                    field: format_args!("spec.volumes[{index}].csi.driver"),
                };
                check_driver(
                    &drivers,
                    &volume.detail,
                    at,
                    "Inline CSI driver is not allowed to be used",
                    found,
                );
            }
            _ => {}
        }
    }
}

fn allows_kind(policy: &PodSecurityPolicySpec, volume: &Volume<'_>) -> bool {
    policy
        .volumes
        .iter()
        .any(|allowed| allowed == "*" || *allowed == *volume.kind || allowed == "secret" && volume.is_token)
}

fn check_driver(drivers: &[&str], driver: &str, at: At<'_>, detail: &str, found: &mut Violations<'_>) {
    if !drivers.is_empty() && !drivers.contains(&driver) {
        found.invalid(
            at,
            Quoted(driver),
            detail,
            format_args!("use one of the drivers {}", Joined(drivers, ", ")),
        );
    }
}

fn check_host_path(
    policy: &PodSecurityPolicySpec,
    index: usize,
    volume: &Volume<'_>,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    let (allowed, read_only) = allows_host_path(policy, &volume.detail);
    if !allowed {
        let prefixes: Vec<&str> =
            policy.allowed_host_paths.iter().map(|allowed| allowed.path_prefix.as_str()).collect();
        let field = format_args!("spec.volumes[{index}].hostPath.pathPrefix");
        let help = format_args!("use a path at or below {}", Joined(&prefixes, " or "));
        let value = Quoted(&volume.detail);
        found.invalid(At { control: "allowedHostPaths", field }, value, "is not allowed to be used", help);
    } else if read_only {
        for (place, container) in pod.spec.all_containers() {
            for (mount_index, mount) in container.volume_mounts.iter().enumerate() {
                if mount.name == volume.name && !mount.read_only {
                    let field = format_args!("{place}.volumeMounts[{mount_index}].readOnly");
                    let help = format_args!("set {place}.volumeMounts[{mount_index}].readOnly: true");
                    found.invalid(
                        At { control: "allowedHostPaths", field },
                        false,
                        "must be read-only",
                        help,
                    );
                }
            }
        }
    }
}

/// `AllowsHostVolumePath`: whether the path is allowed, and whether only to be read.
fn allows_host_path(policy: &PodSecurityPolicySpec, path: &str) -> (bool, bool) {
    if policy.allowed_host_paths.is_empty() {
        return (true, false);
    }
    let mut allowed = false;
    for prefix in policy.allowed_host_paths.iter().filter(|allowed| has_prefix(path, &allowed.path_prefix)) {
        if !prefix.read_only {
            return (true, false);
        }
        allowed = true;
    }
    (allowed, allowed)
}

/// `hasPathPrefix`: by whole segments; one trailing slash of each is left out.
fn has_prefix(path: &str, prefix: &str) -> bool {
    let trim = |text| str::strip_suffix(text, '/').unwrap_or(text);
    trim(path).strip_prefix(trim(prefix)).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
