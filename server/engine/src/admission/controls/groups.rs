//! `fsGroup`, `supplementalGroups` and `runAsGroup`. From `group/{mustrunas,mayrunas,runasany,helpers}.go`.
//!
//! | rule | fills in | allows |
//! |---|---|---|
//! | `MustRunAs` | the first id of the first range | at least one group, all of them in the ranges |
//! | `MayRunAs` | nothing | groups in the ranges, or none |
//! | `RunAsAny` | nothing | everything |

use std::fmt;

use super::{At, GoIntegers, Violations};
use crate::admission::overlay::Merged;
use crate::admission::pod::{Container, Place};
use crate::object::pod_security_policy::{GroupStrategy, IdRange};
use crate::text::join;

/// A group strategy, built.
#[derive(Clone, Debug)]
pub(in crate::admission) enum GroupRule {
    /// Ids, of which the first is filled in.
    Must {
        first: i64,
        ranges: Vec<IdRange>,
    },
    May {
        ranges: Vec<IdRange>,
    },
    Any,
}

impl GroupRule {
    /// Builds a strategy; `name` is what Kubernetes calls it.
    pub(in crate::admission) fn build(name: &str, options: &GroupStrategy) -> Result<Self, String> {
        let ranges = options.ranges.clone();
        match (options.rule.as_str(), ranges.first()) {
            ("MustRunAs", Some(range)) => Ok(GroupRule::Must { first: range.min, ranges }),
            ("MayRunAs", Some(_)) => Ok(GroupRule::May { ranges }),
            (rule @ ("MustRunAs" | "MayRunAs"), None) => Err(format!("ranges must be supplied for {rule}")),
            ("RunAsAny", _) => Ok(GroupRule::Any),
            (other, _) => Err(format!("Unrecognized {name} strategy type {other}")),
        }
    }

    fn generates(&self) -> Option<i64> {
        match self {
            GroupRule::Must { first, .. } => Some(*first),
            GroupRule::May { .. } | GroupRule::Any => None,
        }
    }

    /// Checks groups; `groups` is printed as it is, nil where `None`.
    fn check(&self, groups: Option<&[i64]>, at: At<'_>, found: &mut Violations<'_>) {
        let ranges = match self {
            GroupRule::Any => return,
            GroupRule::Must { ranges, .. } | GroupRule::May { ranges } => ranges,
        };
        let help = format_args!("set {} to a group in the ranges: {}", at.field, GoRanges(ranges));
        if matches!(self, GroupRule::Must { .. }) && groups.is_none_or(<[i64]>::is_empty) {
            let detail = "unable to validate empty groups against required ranges";
            found.invalid(at, GoIntegers(groups), detail, help);
        }
        for group in groups.unwrap_or_default() {
            if !contains(ranges, *group) {
                let detail = format_args!("group {group} must be in the ranges: {}", GoRanges(ranges));
                found.invalid(at, GoIntegers(groups), detail, help);
            }
        }
    }
}

/// Whether an id is in one of the ranges, both ends included.
pub(super) fn contains(ranges: &[IdRange], id: i64) -> bool {
    ranges.iter().any(|range| range.min <= id && id <= range.max)
}

/// Go's `%v` of `[]IDRange`: `[{1000 2000} {0 0}]`.
pub(super) struct GoRanges<'a>(pub &'a [IdRange]);

impl fmt::Display for GoRanges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        join(f, self.0, " ", |f, IdRange { min, max }| write!(f, "{{{min} {max}}}"))?;
        f.write_str("]")
    }
}

/// Fills in the groups of the pod.
pub(in crate::admission) fn default_pod(
    supplemental: &GroupRule,
    fs: &GroupRule,
    pod: &mut Merged<'_, '_, '_>,
) {
    if pod.context().is_none_or(|context| context.supplemental_groups.is_none()) {
        pod.overlay.supplemental_group = supplemental.generates();
    }
    if pod.context().is_none_or(|context| context.fs_group.is_none()) {
        pod.overlay.fs_group = fs.generates();
    }
}

/// Fills in the group of a container.
pub(in crate::admission) fn default_container(
    rule: &GroupRule,
    index: usize,
    container: &Container<'_>,
    pod: &mut Merged<'_, '_, '_>,
) {
    if pod.run_as_group(index, container).is_none()
        && let Some(overlay) = pod.overlay.containers.get_mut(index)
    {
        overlay.run_as_group = rule.generates();
    }
}

pub(in crate::admission) fn check_fs_group(
    rule: &GroupRule,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    let group = pod.overlay.fs_group.or_else(|| pod.context().and_then(|context| context.fs_group));
    let groups = group.map(|group| [group]);
    let at = At { control: "fsGroup", field: format_args!("spec.securityContext.fsGroup") };
    rule.check(groups.as_ref().map(<[i64; 1]>::as_slice), at, found);
}

pub(in crate::admission) fn check_supplemental_groups(
    rule: &GroupRule,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    let generated = pod.overlay.supplemental_group.map(|group| [group]);
    let groups = match &generated {
        Some(groups) => Some(groups.as_slice()),
        None => pod.context().and_then(|context| context.supplemental_groups.as_deref()),
    };
    let field = format_args!("spec.securityContext.supplementalGroups");
    rule.check(groups, At { control: "supplementalGroups", field }, found);
}

/// Kubernetes reports `runAsGroup` at the security context, not at the field.
pub(in crate::admission) fn check_container(
    rule: &GroupRule,
    place: Place,
    index: usize,
    container: &Container<'_>,
    pod: &Merged<'_, '_, '_>,
    found: &mut Violations<'_>,
) {
    let groups = pod.run_as_group(index, container).map(|group| [group]);
    let at = At { control: "runAsGroup", field: format_args!("{place}.securityContext") };
    rule.check(groups.as_ref().map(<[i64; 1]>::as_slice), at, found);
}
