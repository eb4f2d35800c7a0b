//! A PodSecurityPolicy, ready to be asked.
//!
//! From `pkg/security/podsecuritypolicy/factory.go`: a policy whose strategies cannot be built is skipped silently by
//! Kubernetes; here it is told of.

use std::sync::Arc;

use super::controls::{AppArmor, Seccomp, UserRule, capabilities, groups::GroupRule};
use super::overlay::CapabilityLists;
use crate::object::PodSecurityPolicy;
use crate::object::pod_security_policy::{PodSecurityPolicySpec, SeLinuxOptions};

/// A policy whose strategies are built.
#[derive(Debug)]
pub(super) struct CompiledPolicy {
    pub spec: PodSecurityPolicySpec,
    pub run_as_user: UserRule,
    pub run_as_group: GroupRule,
    pub supplemental_groups: GroupRule,
    pub fs_group: GroupRule,
    /// `MustRunAs`; `None`: any.
    pub se_linux: Option<SeLinuxOptions>,
    pub app_armor: AppArmor,
    pub seccomp: Seccomp,
    pub allow_privilege_escalation: bool,
    /// What containers that have no capabilities get: most have none.
    pub capabilities_of_none: Option<Arc<CapabilityLists>>,
}

/// Builds the strategies of a policy.
///
/// # Errors
/// What Kubernetes' factory says, all of it in one line.
pub(super) fn build(policy: &PodSecurityPolicy) -> Result<CompiledPolicy, String> {
    let spec = &policy.spec;
    let mut errors = Vec::new();
    let mut keep = |error: String| errors.push(error);
    let run_as_user = UserRule::build(&spec.run_as_user).map_err(&mut keep);
    let run_as_group = spec
        .run_as_group
        .as_ref()
        .map_or(Ok(GroupRule::Any), |options| GroupRule::build("RunAsGroup", options))
        .map_err(&mut keep);
    let se_linux = match (spec.se_linux.rule.as_str(), &spec.se_linux.options) {
        ("MustRunAs", Some(options)) => Ok(Some(options.clone())),
        ("MustRunAs", None) => Err("MustRunAs requires SELinuxOptions".to_owned()),
        ("RunAsAny", _) => Ok(None),
        (other, _) => Err(format!("Unrecognized SELinuxContext strategy type {other}")),
    }
    .map_err(&mut keep);
    let fs_group = GroupRule::build("FSGroup", &spec.fs_group).map_err(&mut keep);
    let supplemental_groups =
        GroupRule::build("SupplementalGroups", &spec.supplemental_groups).map_err(&mut keep);
    match (run_as_user, run_as_group, se_linux, fs_group, supplemental_groups) {
        (Ok(run_as_user), Ok(run_as_group), Ok(se_linux), Ok(fs_group), Ok(supplemental_groups)) => {
            Ok(CompiledPolicy {
                spec: spec.clone(),
                run_as_user,
                run_as_group,
                supplemental_groups,
                fs_group,
                se_linux,
                app_armor: AppArmor::read(&policy.annotations),
                seccomp: Seccomp::read(&policy.annotations),
                allow_privilege_escalation: spec.allow_privilege_escalation.unwrap_or(true),
                capabilities_of_none: capabilities::filled_in(spec, None),
            })
        }
        _ => Err(errors.join(", ")),
    }
}
