//! `defaultAddCapabilities`, `requiredDropCapabilities`, `allowedCapabilities`. From `capabilities/capabilities.go`.
//!
//! Fills in the default ones, unless the container drops them, and the required drops. What is added must be among the
//! defaults or the allowed ones; all required drops must be there. `*` among the allowed ones ends all checks.

use std::collections::BTreeSet;

use super::{At, NIL, Violations, go_strings};
use crate::admission::overlay::{CapabilityLists, Merged};
use crate::admission::pod::{Container, Place, Text};
use crate::object::pod_security_policy::PodSecurityPolicySpec;
use crate::text::quote;

/// Fills in the capabilities of a container.
pub(in crate::admission) fn default(
    policy: &PodSecurityPolicySpec,
    index: usize,
    container: &Container<'_>,
    pod: &mut Merged<'_, '_, '_>,
) {
    if policy.default_add_capabilities.is_empty() && policy.required_drop_capabilities.is_empty() {
        return;
    }
    let own = container.security_context.as_ref().and_then(|context| context.capabilities.as_ref());
    let add = names(own.and_then(|own| own.add.as_deref()));
    let drop = names(own.and_then(|own| own.drop.as_deref()));
    let defaults =
        policy.default_add_capabilities.iter().map(String::as_str).filter(|name| !drop.contains(name));
    let all_added: BTreeSet<&str> = add.iter().copied().chain(defaults).collect();
    let all_dropped: BTreeSet<&str> =
        drop.iter().copied().chain(policy.required_drop_capabilities.iter().map(String::as_str)).collect();
    if all_added.len() == add.len() && all_dropped.len() == drop.len() {
        return;
    }
    let sorted = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
    if let Some(overlay) = pod.overlay.containers.get_mut(index) {
        overlay.capabilities = Some(CapabilityLists { add: sorted(all_added), drop: sorted(all_dropped) });
    }
}

fn names<'x>(list: Option<&'x [Text<'_>]>) -> BTreeSet<&'x str> {
    list.unwrap_or_default().iter().map(|name| &**name).collect()
}

/// Capabilities in effect: an empty list that was filled in is nil in Go.
struct InEffect<'x> {
    add: Option<Vec<&'x str>>,
    drop: Option<Vec<&'x str>>,
}

fn in_effect<'x>(
    index: usize,
    container: &'x Container<'_>,
    pod: &'x Merged<'_, '_, '_>,
) -> Option<InEffect<'x>> {
    if let Some(lists) = pod.overlay.containers.get(index).and_then(|overlay| overlay.capabilities.as_ref()) {
        let list =
            |names: &'x [String]| (!names.is_empty()).then(|| names.iter().map(String::as_str).collect());
        return Some(InEffect { add: list(&lists.add), drop: list(&lists.drop) });
    }
    let own = container.security_context.as_ref()?.capabilities.as_ref()?;
    let list =
        |names: Option<&'x Vec<Text<'_>>>| names.map(|names| names.iter().map(|name| &**name).collect());
    Some(InEffect { add: list(own.add.as_ref()), drop: list(own.drop.as_ref()) })
}

pub(in crate::admission) fn check(
    policy: &PodSecurityPolicySpec,
    place: Place,
    index: usize,
    container: &Container<'_>,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    let (defaults, required) = (&policy.default_add_capabilities, &policy.required_drop_capabilities);
    let Some(capabilities) = in_effect(index, container, pod) else {
        if !defaults.is_empty() || !required.is_empty() {
            let field = format_args!("{place}.securityContext.capabilities");
            let detail = "required capabilities are not set on the securityContext";
            let help = format!("set {place}.securityContext.capabilities.drop to [{}]", required.join(", "));
            found.invalid(At { control: "capabilities", field }, NIL, detail, help);
        }
        return;
    };
    if policy.allowed_capabilities.iter().any(|allowed| allowed == "*") {
        return;
    }
    let is_in = |list: &[String], name: &str| list.iter().any(|other| other == name);
    for name in capabilities.add.iter().flatten() {
        if !is_in(defaults, name) && !is_in(&policy.allowed_capabilities, name) {
            let field = format_args!("{place}.securityContext.capabilities.add");
            let help = format!("take {name} out of {place}.securityContext.capabilities.add");
            found.invalid(
                At { control: "capabilities", field },
                quote(name),
                "capability may not be added",
                help,
            );
        }
    }
    for name in required {
        if !capabilities.drop.iter().flatten().any(|dropped| dropped == name) {
            let field = format_args!("{place}.securityContext.capabilities.drop");
            let value =
                go_strings("core.Capability", capabilities.drop.as_ref().map(|names| names.iter().copied()));
            let detail = format!("{name} is required to be dropped but was not found");
            let help = format!("add {name} to {place}.securityContext.capabilities.drop");
            found.invalid(At { control: "capabilities", field }, value, detail, help);
        }
    }
}
