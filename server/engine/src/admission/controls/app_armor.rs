//! AppArmor profiles, by annotation. From `apparmor/strategy.go`.
//!
//! Since Kubernetes 1.30 pods have fields, which win over annotations there. A policy that limits profiles would not see
//! these, and so they are taken for the annotation that they stand for (`ApparmorFieldForAnnotation` of
//! `pkg/api/pod/util.go`, read backwards).
//!
//! The policy's annotations `…/defaultProfileName` and `…/allowedProfileNames` (a list with commas; absent: any).

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{At, Violations};
use crate::admission::overlay::Merged;
use crate::admission::pod::{Container, Profile};
use crate::text::Quoted;

/// Annotation of a container, before its name.
const CONTAINER: &str = "container.apparmor.security.beta.kubernetes.io/";
const DEFAULT: &str = "apparmor.security.beta.kubernetes.io/defaultProfileName";
const ALLOWED: &str = "apparmor.security.beta.kubernetes.io/allowedProfileNames";

/// The policy's settings.
#[derive(Clone, Debug, Default)]
pub(in crate::admission) struct AppArmor {
    default: String,
    /// As written; `None`: any.
    allowed: Option<String>,
}

impl AppArmor {
    pub(in crate::admission) fn read(annotations: &BTreeMap<String, String>) -> Self {
        Self {
            default: annotations.get(DEFAULT).cloned().unwrap_or_default(),
            allowed: annotations.get(ALLOWED).cloned(),
        }
    }
}

/// Fills in the annotation of a container.
pub(in crate::admission) fn default<'p>(
    policy: &'p AppArmor,
    container: &Container<'_>,
    pod: &mut Merged<'_, '_, 'p>,
) {
    if policy.default.is_empty() {
        return;
    }
    if profile_of(container, pod).is_empty() {
        let key = format!("{CONTAINER}{}", &*container.name);
        pod.overlay.annotations.push((key, Cow::Borrowed(&policy.default)));
    }
}

/// The profile in effect: the container's field, its annotation, the pod's field. Empty: none.
fn profile_of<'x>(container: &'x Container<'_>, pod: &'x Merged<'_, '_, '_>) -> Cow<'x, str> {
    let of_container =
        container.security_context.as_ref().and_then(|context| context.app_armor_profile.as_ref());
    if let Some(field) = of_container {
        return annotation_for(field);
    }
    match pod.annotation_of(CONTAINER, &container.name) {
        Some(annotation) if !annotation.is_empty() => Cow::Borrowed(annotation),
        _ => {
            let of_pod = pod.context().and_then(|context| context.app_armor_profile.as_ref());
            of_pod.map(annotation_for).unwrap_or_default()
        }
    }
}

/// What a field would have been as an annotation. One that stands for nothing is told as it is, so that no policy takes
/// it for no profile.
fn annotation_for<'x>(field: &'x Profile<'_>) -> Cow<'x, str> {
    field.as_annotation().unwrap_or(Cow::Borrowed(&field.type_))
}

pub(in crate::admission) fn check(
    policy: &AppArmor,
    container: &Container<'_>,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    let Some(allowed) = &policy.allowed else { return };
    let name = &*container.name;
    let profile = profile_of(container, pod);
    let at = At { control: "appArmor", field: format_args!("pod.metadata.annotations[{CONTAINER}{name}]") };
    let help = format_args!("set the annotation {CONTAINER}{name} to one of {allowed}");
    if profile.is_empty() {
        found.forbidden(at, "AppArmor profile must be set", help);
    } else if !allowed.split(',').any(|allowed| allowed == &*profile) {
        let detail = format_args!("{profile} is not an allowed profile. Allowed values: {}", Quoted(allowed));
        found.forbidden(at, detail, help);
    }
}
