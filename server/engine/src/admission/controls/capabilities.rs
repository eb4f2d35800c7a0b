//! `defaultAddCapabilities`, `requiredDropCapabilities`, `allowedCapabilities`. From `capabilities/capabilities.go`.
//!
//! Fills in the default ones, unless the container drops them, and the required drops. What is added must be among the
//! defaults or the allowed ones; all required drops must be there. `*` among the allowed ones ends all checks.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{At, GoStrings, NIL, Violations};
use crate::admission::overlay::{CapabilityLists, Merged};
use crate::admission::pod::{Capabilities, Container, Place, Text};
use crate::admission::policy::CompiledPolicy;
use crate::object::pod_security_policy::PodSecurityPolicySpec;
use crate::text::{Joined, Quoted};

/// Fills in the capabilities of a container.
pub(in crate::admission) fn default(
    policy: &CompiledPolicy,
    index: usize,
    container: &Container<'_>,
    pod: &mut Merged<'_, '_, '_>,
) {
    let own = container.security_context.as_ref().and_then(|context| context.capabilities.as_ref());
    let Some(overlay) = pod.overlay.containers.get_mut(index) else { return };
    overlay.capabilities = match own {
        None => policy.capabilities_of_none.clone(),
        own => filled_in(&policy.spec, own),
    };
}

/// What a container has once the policy has filled in; `None`: what it has already.
pub(in crate::admission) fn filled_in(
    policy: &PodSecurityPolicySpec,
    own: Option<&Capabilities<'_>>,
) -> Option<Arc<CapabilityLists>> {
    let add = own.and_then(|own| own.add.as_deref()).unwrap_or_default();
    let drop = own.and_then(|own| own.drop.as_deref()).unwrap_or_default();
    let has = |list: &[Text<'_>], name: &str| list.iter().any(|other| **other == *name);
    let is_default_missing = |name: &&str| !has(drop, name) && !has(add, name);
    let is_required_missing = |name: &&str| !has(drop, name);
    let defaults = || policy.default_add_capabilities.iter().map(String::as_str).filter(is_default_missing);
    let required =
        || policy.required_drop_capabilities.iter().map(String::as_str).filter(is_required_missing);
    if defaults().next().is_none() && required().next().is_none() {
        return None;
    }
    Some(Arc::new(CapabilityLists { add: sorted(add, defaults()), drop: sorted(drop, required()) }))
}

/// Each name once: Go's `sets.String`.
fn sorted<'x>(own: &'x [Text<'_>], more: impl Iterator<Item = &'x str>) -> Vec<String> {
    let mut names: Vec<String> = own.iter().map(|name| &**name).chain(more).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

type Names<'x> = SmallVec<[&'x str; 8]>;

/// Capabilities in effect: an empty list that was filled in is nil in Go.
struct InEffect<'x> {
    add: Option<Names<'x>>,
    drop: Option<Names<'x>>,
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
            let help =
                format_args!("set {place}.securityContext.capabilities.drop to [{}]", Joined(required, ", "));
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
            let help = format_args!("take {name} out of {place}.securityContext.capabilities.add");
            found.invalid(
                At { control: "capabilities", field },
                Quoted(name),
                "capability may not be added",
                help,
            );
        }
    }
    for name in required {
        if !capabilities.drop.iter().flatten().any(|dropped| dropped == name) {
            let field = format_args!("{place}.securityContext.capabilities.drop");
            let value = GoStrings("core.Capability", capabilities.drop.as_deref());
            let detail = format_args!("{name} is required to be dropped but was not found");
            let help = format_args!("add {name} to {place}.securityContext.capabilities.drop");
            found.invalid(At { control: "capabilities", field }, value, detail, help);
        }
    }
}
