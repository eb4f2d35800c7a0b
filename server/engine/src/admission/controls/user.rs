//! `runAsUser`, and the `runAsNonRoot` that goes with it. From `user/{mustrunas,nonroot,runasany}.go`.
//!
//! | rule | fills in | allows |
//! |---|---|---|
//! | `MustRunAs` | `runAsUser`: the first id of the first range | a user in the ranges |
//! | `MustRunAsNonRoot` | `runAsNonRoot: true`, where neither user nor it is named | a user other than 0, or `runAsNonRoot: true` |
//! | `RunAsAny` | nothing | everything |

use super::groups::{GoRanges, contains};
use super::{At, Violations};
use crate::admission::overlay::Merged;
use crate::admission::pod::{Container, Place};
use crate::object::pod_security_policy::{IdRange, RunAsUserStrategy};

/// The user strategy, built.
#[derive(Clone, Debug)]
pub(in crate::admission) enum UserRule {
    Must { first: i64, ranges: Vec<IdRange> },
    NonRoot,
    Any,
}

impl UserRule {
    pub(in crate::admission) fn build(options: &RunAsUserStrategy) -> Result<Self, String> {
        let ranges = options.ranges.clone();
        match (options.rule.as_str(), ranges.first()) {
            ("MustRunAs", Some(range)) => Ok(UserRule::Must { first: range.min, ranges }),
            ("MustRunAs", None) => Err("MustRunAs requires at least one range".to_owned()),
            ("MustRunAsNonRoot", _) => Ok(UserRule::NonRoot),
            ("RunAsAny", _) => Ok(UserRule::Any),
            (other, _) => Err(format!("Unrecognized RunAsUser strategy type {other}")),
        }
    }
}

/// Fills in the user of a container.
pub(in crate::admission) fn default(
    rule: &UserRule,
    index: usize,
    container: &Container<'_>,
    pod: &mut Merged<'_, '_, '_>,
) {
    if let UserRule::Must { first, .. } = rule
        && pod.run_as_user(index, container).is_none()
        && let Some(overlay) = pod.overlay.containers.get_mut(index)
    {
        overlay.run_as_user = Some(*first);
    }
}

/// Fills in `runAsNonRoot`. (In Kubernetes' order this comes after AppArmor's defaults.)
pub(in crate::admission) fn default_non_root(
    rule: &UserRule,
    index: usize,
    container: &Container<'_>,
    pod: &mut Merged<'_, '_, '_>,
) {
    if matches!(rule, UserRule::NonRoot)
        && pod.run_as_non_root(index, container).is_none()
        && pod.run_as_user(index, container).is_none()
        && let Some(overlay) = pod.overlay.containers.get_mut(index)
    {
        overlay.run_as_non_root = Some(true);
    }
}

pub(in crate::admission) fn check(
    rule: &UserRule,
    place: Place,
    index: usize,
    container: &Container<'_>,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    let user = pod.run_as_user(index, container);
    match rule {
        UserRule::Any => {}
        UserRule::Must { ranges, .. } => {
            let field = format_args!("{place}.securityContext.runAsUser");
            let ranges_text = GoRanges(ranges);
            let help =
                format_args!("set {place}.securityContext.runAsUser to a user in the ranges: {ranges_text}");
            match user {
                None => found.required(At { control: "runAsUser", field }, "", help),
                Some(user) if !contains(ranges, user) => {
                    let detail = format_args!("must be in the ranges: {ranges_text}");
                    found.invalid(At { control: "runAsUser", field }, user, detail, help);
                }
                Some(_) => {}
            }
        }
        UserRule::NonRoot => {
            let non_root = pod.run_as_non_root(index, container);
            let field = format_args!("{place}.securityContext.runAsNonRoot");
            if non_root.is_none() && user.is_none() {
                let help = format_args!(
                    "set {place}.securityContext.runAsNonRoot: true, or a runAsUser other than 0"
                );
                found.required(At { control: "runAsUser", field }, "must be true", help);
            } else if non_root == Some(false) {
                let help = format_args!("set {place}.securityContext.runAsNonRoot: true");
                found.invalid(At { control: "runAsUser", field }, false, "must be true", help);
            } else if user == Some(0) {
                let field = format_args!("{place}.securityContext.runAsUser");
                let detail = "running with the root UID is forbidden";
                let help = format_args!("set {place}.securityContext.runAsUser to anything but 0");
                found.invalid(At { control: "runAsUser", field }, 0, detail, help);
            }
        }
    }
}
