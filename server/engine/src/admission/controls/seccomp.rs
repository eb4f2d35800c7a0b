//! Seccomp profiles, by annotation and by field. From `seccomp/strategy.go` and `pkg/api/pod/util.go`.
//!
//! The policy's annotations `…/defaultProfileName` and `…/allowedProfileNames` (a list with commas; `*`: any; absent
//! or empty: none may be set). A pod that has the field gets the annotation too, whatever the policy says.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use smallvec::SmallVec;

use super::{At, Violations};
use crate::admission::overlay::Merged;
use crate::admission::pod::{Container, PodView, Profile};

/// Annotation of a pod.
pub(in crate::admission) const POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
/// Annotation of a container, before its name.
const CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const DEFAULT: &str = "seccomp.security.alpha.kubernetes.io/defaultProfileName";
const ALLOWED: &str = "seccomp.security.alpha.kubernetes.io/allowedProfileNames";

/// The two names of one profile.
const RUNTIME_DEFAULT: [&str; 2] = ["runtime/default", "docker/default"];

/// The policy's settings.
#[derive(Clone, Debug, Default)]
pub(in crate::admission) struct Seccomp {
    default: String,
    allowed: Vec<String>,
    allows_any: bool,
    /// As written, for messages.
    allowed_text: String,
}

impl Seccomp {
    pub(in crate::admission) fn read(annotations: &BTreeMap<String, String>) -> Self {
        let allowed_text = annotations.get(ALLOWED);
        let mut allowed = Vec::new();
        let mut allows_any = false;
        for profile in allowed_text.iter().flat_map(|text| text.split(',')) {
            if profile == "*" {
                allows_any = true;
            } else if RUNTIME_DEFAULT.contains(&profile) {
                allowed.extend(RUNTIME_DEFAULT.map(str::to_owned));
            } else {
                allowed.push(profile.to_owned());
            }
        }
        Self {
            default: annotations.get(DEFAULT).cloned().unwrap_or_default(),
            allowed,
            allows_any,
            allowed_text: allowed_text.cloned().unwrap_or_default(),
        }
    }

    /// `profileAllowed`: without a list of profiles, having none is right.
    fn allows(&self, profile: &str) -> bool {
        self.allowed.is_empty() && profile.is_empty()
            || self.allows_any
            || self.allowed.iter().any(|allowed| allowed == profile)
    }

    fn check(&self, profile: &str, key: fmt::Arguments<'_>, found: &mut Violations<'_>) {
        let field = format_args!("pod.metadata.annotations[{key}]");
        let at = At { control: "seccomp", field };
        if !self.allows_any && self.allowed.is_empty() && !profile.is_empty() {
            found.forbidden(at, "seccomp may not be set", "take the seccomp profile away");
        } else if !self.allows(profile) {
            let text = &self.allowed_text;
            let detail = format_args!("{profile} is not an allowed seccomp profile. Valid values are {text}");
            found.forbidden(at, detail, format_args!("set the seccomp profile to one of {text}"));
        }
    }
}

/// Fills in the annotation of the pod.
pub(in crate::admission) fn default<'p>(policy: &'p Seccomp, pod: &mut Merged<'_, '_, 'p>) {
    let current = pod.pod.annotation(POD);
    if !current.is_empty() {
        return;
    }
    let profile = match field_of_pod(pod) {
        Some(field) => annotation_for(field),
        None => Cow::Borrowed(policy.default.as_str()),
    };
    if !profile.is_empty() {
        pod.overlay.annotations.push((POD.to_owned(), Cow::Owned(profile.into_owned())));
    }
}

pub(in crate::admission) fn check_pod(
    policy: &Seccomp,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    let annotation = pod.annotation(POD);
    let profile = match field_of_pod(pod) {
        Some(field) if annotation.is_empty() => annotation_for(field),
        _ => Cow::Borrowed(annotation),
    };
    policy.check(&profile, format_args!("{POD}"), found);
}

pub(in crate::admission) fn check_container(
    policy: &Seccomp,
    container: &Container<'_>,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    let name = &*container.name;
    let field = container.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
    // profileForContainer: the container's field, its annotation, the pod's field, the pod's annotation.
    let profile = if let Some(field) = field {
        annotation_for(field)
    } else if let Some(annotation) = pod.annotation_of(CONTAINER, name) {
        Cow::Borrowed(annotation)
    } else if let Some(field) = field_of_pod(pod) {
        annotation_for(field)
    } else {
        Cow::Borrowed(pod.annotation(POD))
    };
    policy.check(&profile, format_args!("{CONTAINER}{name}"), found);
}

fn field_of_pod<'x, 'a>(pod: &'x Merged<'_, 'a, '_>) -> Option<&'x Profile<'a>> {
    pod.context().and_then(|context| context.seccomp_profile.as_ref())
}

/// `SeccompAnnotationForField`: empty for what has no annotation.
fn annotation_for<'x>(field: &'x Profile<'_>) -> Cow<'x, str> {
    field.as_annotation().unwrap_or_default()
}

/// `SeccompFieldForAnnotation`: nothing for what has no field.
fn field_for(annotation: &str) -> Option<Profile<'static>> {
    let field = |type_: &str, profile: Option<&str>| {
        Some(Profile {
            type_: type_.to_owned().into(),
            localhost_profile: profile.map(|profile| profile.to_owned().into()),
        })
    };
    match annotation.strip_prefix("localhost/") {
        Some("") => None,
        Some(profile) => field("Localhost", Some(profile)),
        None if annotation == "unconfined" => field("Unconfined", None),
        None if RUNTIME_DEFAULT.contains(&annotation) => field("RuntimeDefault", None),
        None => None,
    }
}

/// The pod's field, where only the annotation says what it would be.
pub(in crate::admission) fn missing_field_of_pod(pod: &Merged<'_, '_, '_>) -> Option<Profile<'static>> {
    match field_of_pod(pod) {
        Some(_) => None,
        None => field_for(pod.annotation(POD)),
    }
}

/// The same of a container.
pub(in crate::admission) fn missing_field_of(
    container: &Container<'_>,
    pod: &Merged<'_, '_, '_>,
) -> Option<Profile<'static>> {
    match container.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref()) {
        Some(_) => None,
        None => field_for(pod.annotation_of(CONTAINER, &container.name)?),
    }
}

/// What the API server does to a new pod between the two phases: fields and annotations are made to agree
/// (`applySeccompVersionSkew` of `pkg/registry/core/pod/strategy.go`). Tells whether anything had to be changed.
pub(in crate::admission) fn agree(pod: &mut PodView<'_>) -> bool {
    let mut changes = false;
    let mut annotate: SmallVec<[(String, String); 2]> = SmallVec::new();
    let PodView { metadata, spec: Some(spec), .. } = pod else { return changes };
    let annotations = metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    let field = spec.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
    match (field, annotations.and_then(|annotations| annotations.get(POD))) {
        (Some(field), None) => annotate.push((POD.to_owned(), annotation_for(field).into_owned())),
        (None, Some(value)) => {
            if let Some(field) = field_for(value) {
                spec.security_context.get_or_insert_default().seccomp_profile = Some(field);
                changes = true;
            }
        }
        _ => {}
    }
    for container in spec.all_containers_mut() {
        let field = container.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
        match (field, annotations.and_then(|annotations| annotations.get_of(CONTAINER, &container.name))) {
            (Some(field), None) => {
                let key = [CONTAINER, &*container.name].concat();
                annotate.push((key, annotation_for(field).into_owned()));
            }
            (None, Some(value)) => {
                if let Some(field) = field_for(value) {
                    container.security_context.get_or_insert_default().seccomp_profile = Some(field);
                    changes = true;
                }
            }
            _ => {}
        }
    }
    for (key, value) in annotate.into_iter().filter(|(_, value)| !value.is_empty()) {
        pod.annotate(&key, value);
        changes = true;
    }
    changes
}
