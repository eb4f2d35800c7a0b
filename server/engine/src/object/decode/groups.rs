//! Which groups and versions the kinds are read from.

use crate::object::Kind;
use crate::object::pod_security_policy::CRD_GROUP;
use crate::object::validate::rbac;

/// The `apiVersion` of the core group, which has no name.
const CORE: &str = "v1";

/// What is to be made of an `apiVersion` and a `kind`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reads<'a> {
    /// It is this kind; with the version it is written in.
    Kind(Kind, &'a str),
    /// It takes no part in decisions.
    OtherKind,
    /// Kubernetes' own, but not in this group and version: what is read instead.
    OtherVersion(String),
}

/// What is to be made of `api_version` and `kind`.
pub fn reads<'a>(api_version: &'a str, kind: &str) -> Reads<'a> {
    let Some(kind) = Kind::ALL.into_iter().find(|known| known.as_str() == kind) else {
        return Reads::OtherKind;
    };
    let api_version = if api_version.is_empty() && is_core(kind.as_str()) { CORE } else { api_version };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let read = groups_of(kind);
    if read
        .iter()
        .any(|(known, versions)| *known == group && (versions.is_empty() || versions.contains(&version)))
    {
        return Reads::Kind(kind, version);
    }
    if is_foreign(group) {
        return Reads::OtherKind;
    }
    Reads::OtherVersion(format!("{kind} is not read from {api_version:?}, but from {}", list(read)))
}

/// Whether a kind of this name is in the core group.
pub(super) fn is_core(kind: &str) -> bool {
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind);
    kind.is_some_and(|kind| matches!(groups_of(kind), [("", _)]))
}

/// The groups a kind is read from, each with the versions; none: any.
fn groups_of(kind: Kind) -> &'static [(&'static str, &'static [&'static str])] {
    match kind {
        Kind::Namespace | Kind::Pod | Kind::ServiceAccount | Kind::ReplicationController => &[("", &[CORE])],
        Kind::NetworkPolicy => &[("networking.k8s.io", &["v1"])],
        Kind::PodSecurityPolicy => {
            &[("policy", &["v1beta1"]), ("extensions", &["v1beta1"]), (CRD_GROUP, &["v1"])]
        }
        Kind::Role | Kind::ClusterRole | Kind::RoleBinding | Kind::ClusterRoleBinding => {
            &[(rbac::GROUP, &["v1", "v1beta1", "v1alpha1"])]
        }
        Kind::Deployment | Kind::ReplicaSet | Kind::DaemonSet => &[("apps", &[]), ("extensions", &[])],
        Kind::StatefulSet => &[("apps", &[])],
        Kind::Job | Kind::CronJob => &[("batch", &[])],
    }
}

/// Whether a group is neither Kubernetes' nor Gavel's: those of Kubernetes have no dot, or end in `.k8s.io`.
fn is_foreign(group: &str) -> bool {
    group.contains('.') && !group.ends_with(".k8s.io") && group != CRD_GROUP
}

fn list(read: &[(&str, &[&str])]) -> String {
    let mut names = Vec::new();
    for (group, versions) in read {
        match (*group, versions.is_empty()) {
            ("", _) => names.extend(versions.iter().map(|version| (*version).to_owned())),
            (group, true) => names.push(format!("{group}/*")),
            (group, false) => names.extend(versions.iter().map(|version| format!("{group}/{version}"))),
        }
    }
    names.join(", ")
}
