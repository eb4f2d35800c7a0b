//! One policy, one pod: what it fills in, and what it then objects to. From `provider.go`: `MutatePod`, `ValidatePod`.

use super::Violation;
use super::controls::{
    Violations, app_armor, capabilities, groups, host, privileges, runtime_class, se_linux, seccomp, sysctls,
    user, volumes,
};
use super::overlay::{Merged, Overlay};
use super::pod::{PodView, Spec};
use super::policy::CompiledPolicy;

/// What a policy makes of a pod.
#[derive(Debug)]
pub(super) struct Evaluation<'p> {
    /// What it fills in.
    pub overlay: Overlay<'p>,
    /// What it objects to, once that is filled in. In Kubernetes' order.
    pub violations: Vec<Violation>,
}

/// Fills in, then checks.
pub(super) fn evaluate<'p>(
    name: &str,
    policy: &'p CompiledPolicy,
    pod: &PodView<'_>,
    spec: &Spec<'_>,
) -> Evaluation<'p> {
    let merged = filled_in(policy, pod, spec);
    let violations = check(Violations::of(name), policy, &merged).into_found();
    Evaluation { overlay: merged.overlay, violations }
}

/// What a policy fills in, if it then admits the pod: [`evaluate`] for whom nobody asks what it objects to.
pub(super) fn admits<'p>(
    policy: &'p CompiledPolicy,
    pod: &PodView<'_>,
    spec: &Spec<'_>,
) -> Option<Overlay<'p>> {
    let merged = filled_in(policy, pod, spec);
    (!check(Violations::any(), policy, &merged).objects()).then_some(merged.overlay)
}

/// Checks the pod as it is, with nothing filled in: tells what a policy would have to change, in its own words.
pub(super) fn check_as_is(
    name: &str,
    policy: &CompiledPolicy,
    pod: &PodView<'_>,
    spec: &Spec<'_>,
) -> Vec<Violation> {
    let as_is = Merged { pod, spec, overlay: Overlay::none(spec.all_containers().count()) };
    check(Violations::of(name), policy, &as_is).into_found()
}

/// `MutatePod`, control by control in its order: later ones look at what earlier ones filled in.
fn filled_in<'v, 'a, 'p>(
    policy: &'p CompiledPolicy,
    pod: &'v PodView<'a>,
    spec: &'v Spec<'a>,
) -> Merged<'v, 'a, 'p> {
    let mut merged = Merged { pod, spec, overlay: Overlay::none(spec.all_containers().count()) };
    let pod = &mut merged;
    groups::default_pod(&policy.supplemental_groups, &policy.fs_group, pod);
    se_linux::default(policy.se_linux.as_ref(), pod);
    seccomp::default(&policy.seccomp, pod);
    runtime_class::default(policy.spec.runtime_class.as_ref(), pod);
    for (index, (_, container)) in pod.spec.all_containers().enumerate() {
        user::default(&policy.run_as_user, index, container, pod);
        groups::default_container(&policy.run_as_group, index, container, pod);
        app_armor::default(&policy.app_armor, container, pod);
        user::default_non_root(&policy.run_as_user, index, container, pod);
        capabilities::default(policy, index, container, pod);
        privileges::default(policy, index, container, pod);
    }
    merged
}

/// `ValidatePod`, control by control in its order, which is that of the messages.
fn check<'n>(mut found: Violations<'n>, policy: &CompiledPolicy, pod: &Merged<'_, '_, '_>) -> Violations<'n> {
    let spec = &policy.spec;
    groups::check_fs_group(&policy.fs_group, pod, &mut found);
    groups::check_supplemental_groups(&policy.supplemental_groups, pod, &mut found);
    seccomp::check_pod(&policy.seccomp, pod, &mut found);
    se_linux::check(
        policy.se_linux.as_ref(),
        format_args!("spec.securityContext"),
        pod.se_linux(),
        &mut found,
    );
    host::check_namespaces(spec, pod, &mut found);
    sysctls::check(spec, pod, &mut found);
    volumes::check(spec, pod, &mut found);
    runtime_class::check(spec.runtime_class.as_ref(), pod, &mut found);
    for (index, (place, container)) in pod.spec.all_containers().enumerate() {
        if found.is_settled() {
            break;
        }
        user::check(&policy.run_as_user, place, index, container, pod, &mut found);
        groups::check_container(&policy.run_as_group, place, index, container, pod, &mut found);
        let owner = format_args!("{place}.securityContext");
        se_linux::check(policy.se_linux.as_ref(), owner, pod.container_se_linux(container), &mut found);
        app_armor::check(&policy.app_armor, container, pod, &mut found);
        seccomp::check_container(&policy.seccomp, container, pod, &mut found);
        privileges::check_privileged(spec, place, container, &mut found);
        privileges::check_proc_mount(spec, place, container, &mut found);
        capabilities::check(spec, place, index, container, pod, &mut found);
        host::check_ports(spec, place, container, &mut found);
        privileges::check_read_only_root(spec, place, index, container, pod, &mut found);
        privileges::check_escalation(policy, place, index, container, pod, &mut found);
    }
    found
}
