//! AppArmor profiles, by annotation. From `apparmor/strategy.go`.
//!
//! The policy's annotations `…/defaultProfileName` and `…/allowedProfileNames` (a list with commas; absent: any).

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{At, Violations};
use crate::admission::overlay::Merged;
use crate::admission::pod::Container;
use crate::text::quote;

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
    if pod.annotation_of(CONTAINER, &container.name).is_none_or(str::is_empty) {
        let key = format!("{CONTAINER}{}", &*container.name);
        pod.overlay.annotations.push((key, Cow::Borrowed(&policy.default)));
    }
}

pub(in crate::admission) fn check(
    policy: &AppArmor,
    container: &Container<'_>,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    let Some(allowed) = &policy.allowed else { return };
    let name = &*container.name;
    let profile = pod.annotation_of(CONTAINER, name).unwrap_or_default();
    let at = At { control: "appArmor", field: format_args!("pod.metadata.annotations[{CONTAINER}{name}]") };
    let help = || format!("set the annotation {CONTAINER}{name} to one of {allowed}");
    if profile.is_empty() {
        found.forbidden(at, "AppArmor profile must be set", help());
    } else if !allowed.split(',').any(|allowed| allowed == profile) {
        let detail = format!("{profile} is not an allowed profile. Allowed values: {}", quote(allowed));
        found.forbidden(at, detail, help());
    }
}
