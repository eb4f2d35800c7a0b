//! What a container may do to its node and to itself: `privileged`, `allowedProcMountTypes`, `readOnlyRootFilesystem`,
//! `allowPrivilegeEscalation` and its default. From `provider.go`.

use super::{At, NIL, Violations};
use crate::admission::overlay::Merged;
use crate::admission::pod::{Container, Place};
use crate::admission::policy::CompiledPolicy;
use crate::object::pod_security_policy::PodSecurityPolicySpec;
use crate::text::{Joined, Quoted};

/// Fills in `readOnlyRootFilesystem` and `allowPrivilegeEscalation`.
pub(in crate::admission) fn default(
    policy: &CompiledPolicy,
    index: usize,
    container: &Container<'_>,
    pod: &mut Merged<'_, '_, '_>,
) {
    let read_only =
        policy.spec.read_only_root_filesystem && pod.read_only_root_filesystem(index, container).is_none();
    let escalation = if pod.allow_privilege_escalation(index, container).is_none() {
        // The policy's default; else false, where the policy says that it must not be.
        policy
            .spec
            .default_allow_privilege_escalation
            .or((!policy.allow_privilege_escalation).then_some(false))
    } else {
        None
    };
    if let Some(overlay) = pod.overlay.containers.get_mut(index) {
        overlay.read_only_root_filesystem = read_only.then_some(true);
        overlay.allow_privilege_escalation = escalation;
    }
}

pub(in crate::admission) fn check_privileged(
    policy: &PodSecurityPolicySpec,
    place: Place,
    container: &Container<'_>,
    found: &mut Violations<'_>,
) {
    let privileged = container.security_context.as_ref().and_then(|context| context.privileged);
    if !policy.privileged && privileged == Some(true) {
        let field = format_args!("{place}.securityContext.privileged");
        let help = format_args!("take {place}.securityContext.privileged away");
        let detail = "Privileged containers are not allowed";
        found.invalid(At { control: "privileged", field }, true, detail, help);
    }
}

/// Without a list only `Default` is allowed; a container without the field has `Default`.
pub(in crate::admission) fn check_proc_mount(
    policy: &PodSecurityPolicySpec,
    place: Place,
    container: &Container<'_>,
    found: &mut Violations<'_>,
) {
    let asked = container.security_context.as_ref().and_then(|context| context.proc_mount.as_deref());
    let asked = asked.unwrap_or("Default");
    let allowed = &policy.allowed_proc_mount_types;
    let is_allowed =
        if allowed.is_empty() { asked == "Default" } else { allowed.iter().any(|allowed| allowed == asked) };
    if !is_allowed {
        let field = format_args!("{place}.securityContext.procMount");
        let default = ["Default".to_owned()];
        let allowed = Joined(if allowed.is_empty() { &default } else { allowed }, " or ");
        let help = format_args!("set {place}.securityContext.procMount to {allowed}");
        found.invalid(
            At { control: "procMount", field },
            Quoted(asked),
            "ProcMountType is not allowed",
            help,
        );
    }
}

pub(in crate::admission) fn check_read_only_root(
    policy: &PodSecurityPolicySpec,
    place: Place,
    index: usize,
    container: &Container<'_>,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    if !policy.read_only_root_filesystem {
        return;
    }
    let at = At {
        control: "readOnlyRootFilesystem",
        field: format_args!("{place}.securityContext.readOnlyRootFilesystem"),
    };
    let help = format_args!("set {place}.securityContext.readOnlyRootFilesystem: true");
    match pod.read_only_root_filesystem(index, container) {
        None => {
            let detail = "ReadOnlyRootFilesystem may not be nil and must be set to true";
            found.invalid(at, NIL, detail, help);
        }
        Some(false) => found.invalid(at, false, "ReadOnlyRootFilesystem must be set to true", help),
        Some(true) => {}
    }
}

pub(in crate::admission) fn check_escalation(
    policy: &CompiledPolicy,
    place: Place,
    index: usize,
    container: &Container<'_>,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    let asked = pod.allow_privilege_escalation(index, container);
    if !policy.allow_privilege_escalation && asked != Some(false) {
        let at = At {
            control: "allowPrivilegeEscalation",
            field: format_args!("{place}.securityContext.allowPrivilegeEscalation"),
        };
        let value = if asked.is_some() { "true" } else { NIL };
        let detail = "Allowing privilege escalation for containers is not allowed";
        let help = format_args!("set {place}.securityContext.allowPrivilegeEscalation: false");
        found.invalid(at, value, detail, help);
    }
}
