//! `runtimeClass`. From `provider.go`.
//!
//! Fills in the default class; a pod without class is always allowed, others must be named, or `*`.

use super::{At, Violations};
use crate::admission::overlay::Merged;
use crate::object::pod_security_policy::RuntimeClassStrategy;
use crate::text::{Joined, Quoted};

pub(in crate::admission) fn default<'p>(
    policy: Option<&'p RuntimeClassStrategy>,
    pod: &mut Merged<'_, '_, 'p>,
) {
    if let Some(policy) = policy
        && pod.spec.runtime_class_name.is_none()
    {
        pod.overlay.runtime_class = policy.default_runtime_class_name.as_deref();
    }
}

pub(in crate::admission) fn check(
    policy: Option<&RuntimeClassStrategy>,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    let Some(policy) = policy else { return };
    let Some(class) = pod.overlay.runtime_class.or(pod.spec.runtime_class_name.as_deref()) else { return };
    let allowed = &policy.allowed_runtime_class_names;
    if !allowed.iter().any(|allowed| allowed == "*" || allowed == class) {
        let none = format_args!("take spec.runtimeClassName away");
        let some = format_args!("set spec.runtimeClassName to {}", Joined(allowed, " or "));
        found.invalid(
            At { control: "runtimeClass", field: format_args!("spec.runtimeClassName") },
            Quoted(class),
            "",
            if allowed.is_empty() { none } else { some },
        );
    }
}
