//! `seLinux`. From `selinux/{mustrunas,runasany}.go`.
//!
//! `MustRunAs` fills the policy's options into the pod, and takes no others; of a level, the categories may stand in
//! another order. `RunAsAny` takes everything.

use super::{At, Violations};
use crate::admission::overlay::{Merged, SeLinuxInEffect};
use crate::object::pod_security_policy::SeLinuxOptions;
use crate::text::Quoted;

/// Fills in the options of the pod. Its containers inherit them, so that nothing is left to fill in there.
pub(in crate::admission) fn default<'p>(wanted: Option<&'p SeLinuxOptions>, pod: &mut Merged<'_, '_, 'p>) {
    if pod.context().is_none_or(|context| context.se_linux_options.is_none()) {
        pod.overlay.se_linux = wanted;
    }
}

/// Checks the options in effect; `owner` is the path of the security context.
pub(in crate::admission) fn check(
    wanted: Option<&SeLinuxOptions>,
    owner: std::fmt::Arguments<'_>,
    options: Option<SeLinuxInEffect<'_>>,
    found: &mut Violations<'_>,
) {
    let Some(SeLinuxOptions { user, role, type_, level }) = wanted else { return };
    let Some(options) = options else {
        let help = format_args!("set {owner}.seLinuxOptions as the policy has them");
        found.required(At { control: "seLinux", field: format_args!("{owner}.seLinuxOptions") }, "", help);
        return;
    };
    let parts = [
        ("level", level, options.level, same_level(level, options.level)),
        ("role", role, options.role, role == options.role),
        ("type", type_, options.type_, type_ == options.type_),
        ("user", user, options.user, user == options.user),
    ];
    for (part, wanted, value, same) in parts {
        if !same {
            let field = format_args!("{owner}.seLinuxOptions.{part}");
            let help = format_args!("set {owner}.seLinuxOptions.{part} to {}", Quoted(wanted));
            found.invalid(
                At { control: "seLinux", field },
                Quoted(value),
                format_args!("must be {wanted}"),
                help,
            );
        }
    }
}

/// `equalLevels`: `s0:c1,c2` is the same level as `s0:c2,c1`.
fn same_level(wanted: &str, actual: &str) -> bool {
    if wanted == actual {
        return true;
    }
    let (Some((wanted, wanted_categories)), Some((actual, actual_categories))) =
        (wanted.split_once(':'), actual.split_once(':'))
    else {
        return false;
    };
    let sorted = |categories: &str| {
        let mut categories: Vec<String> = categories.split(',').map(str::to_owned).collect();
        categories.sort_unstable();
        categories
    };
    wanted == actual && sorted(wanted_categories) == sorted(actual_categories)
}
