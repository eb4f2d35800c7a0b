//! Which kinds are watched, and where an API server has them.

use gavel_engine::object::Kind;
use gavel_engine::object::pod_security_policy::CRD_GROUP;

/// Where an API server has a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// Empty for the core group.
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
}

impl Resource {
    /// `/api/v1`, `/apis/GROUP/VERSION`.
    pub(super) fn group_path(&self) -> String {
        match self.group {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        }
    }

    /// The collection over all namespaces.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.group_path(), self.plural)
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.group {
            "" => f.write_str(self.plural),
            group => write!(f, "{}.{group}", self.plural),
        }
    }
}

const fn core(plural: &'static str) -> Resource {
    Resource { group: "", version: "v1", plural }
}

const fn rbac(plural: &'static str) -> Resource {
    Resource { group: "rbac.authorization.k8s.io", version: "v1", plural }
}

/// The kinds that are watched.
pub const WATCHED: [Kind; 9] = [
    Kind::Namespace,
    Kind::Pod,
    Kind::ServiceAccount,
    Kind::NetworkPolicy,
    Kind::PodSecurityPolicy,
    Kind::Role,
    Kind::ClusterRole,
    Kind::RoleBinding,
    Kind::ClusterRoleBinding,
];

/// Where a kind may be: the first that the API server has is watched.
///
/// Kubernetes had PodSecurityPolicy up to 1.24; in clusters of today it is Gavel's own resource.
pub(super) const fn resources(kind: Kind) -> &'static [Resource] {
    match kind {
        Kind::Namespace => const { &[core("namespaces")] },
        Kind::Pod => const { &[core("pods")] },
        Kind::ServiceAccount => const { &[core("serviceaccounts")] },
        Kind::NetworkPolicy => {
            &[Resource { group: "networking.k8s.io", version: "v1", plural: "networkpolicies" }]
        }
        Kind::PodSecurityPolicy => &[
            Resource { group: "policy", version: "v1beta1", plural: "podsecuritypolicies" },
            Resource { group: CRD_GROUP, version: "v1", plural: "podsecuritypolicies" },
        ],
        Kind::Role => const { &[rbac("roles")] },
        Kind::ClusterRole => const { &[rbac("clusterroles")] },
        Kind::RoleBinding => const { &[rbac("rolebindings")] },
        Kind::ClusterRoleBinding => const { &[rbac("clusterrolebindings")] },
        // Pods are watched themselves, not what makes them.
        Kind::Deployment
        | Kind::ReplicaSet
        | Kind::StatefulSet
        | Kind::DaemonSet
        | Kind::Job
        | Kind::CronJob
        | Kind::ReplicationController => &[],
    }
}

/// The version objects of a kind are read as; of those of PodSecurityPolicy the fields are the same.
pub(super) const fn version(kind: Kind) -> &'static str {
    match resources(kind) {
        [first, ..] => first.version,
        [] => "v1",
    }
}
