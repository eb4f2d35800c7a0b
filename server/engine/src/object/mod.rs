//! Kubernetes objects as the engine needs them: plain data, only the fields that decisions look at.
//!
//! Sources hand these over, wrapped in [`Change`]s. Which objects are read, and from which API groups, is told by
//! [`decode`](decode::decode).

pub mod decode;
pub mod ip;
pub mod labels;
pub mod meta;
pub mod network_policy;
pub mod pod;
pub mod pod_security_policy;
pub mod rbac;
pub mod uid;
pub mod validate;

use std::fmt;
use std::sync::Arc;

pub use labels::{LabelSelector, Labels, Operator, Requirement};
pub use meta::{ObjectMeta, OwnerReference};
pub use network_policy::{IpBlock, NetworkPolicy, Peer, PolicyPort, PortMatch, Protocol, Rule};
pub use pod::{ContainerPort, Pod, Workload};
pub use pod_security_policy::PodSecurityPolicy;
pub use rbac::{Binding, PolicyRule, Role, RoleRef, Subject};
pub use uid::Uid;

/// The kinds that take part in decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `v1 Namespace`
    Namespace,
    /// `v1 Pod`
    Pod,
    /// `v1 ServiceAccount`
    ServiceAccount,
    /// `networking.k8s.io/v1 NetworkPolicy`
    NetworkPolicy,
    /// `policy/v1beta1 PodSecurityPolicy`, also in `extensions/v1beta1` and Gavel's own group
    PodSecurityPolicy,
    /// `rbac.authorization.k8s.io/v1 Role`
    Role,
    /// `rbac.authorization.k8s.io/v1 ClusterRole`
    ClusterRole,
    /// `rbac.authorization.k8s.io/v1 RoleBinding`
    RoleBinding,
    /// `rbac.authorization.k8s.io/v1 ClusterRoleBinding`
    ClusterRoleBinding,
    /// `apps/v1 Deployment`
    Deployment,
    /// `apps/v1 ReplicaSet`
    ReplicaSet,
    /// `apps/v1 StatefulSet`
    StatefulSet,
    /// `apps/v1 DaemonSet`
    DaemonSet,
    /// `batch/v1 Job`
    Job,
    /// `batch/v1 CronJob`
    CronJob,
    /// `v1 ReplicationController`
    ReplicationController,
}

impl Kind {
    /// Every kind, in the order of [`Kind`].
    pub const ALL: [Kind; 16] = [
        Kind::Namespace,
        Kind::Pod,
        Kind::ServiceAccount,
        Kind::NetworkPolicy,
        Kind::PodSecurityPolicy,
        Kind::Role,
        Kind::ClusterRole,
        Kind::RoleBinding,
        Kind::ClusterRoleBinding,
        Kind::Deployment,
        Kind::ReplicaSet,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::Job,
        Kind::CronJob,
        Kind::ReplicationController,
    ];

    /// The kind's name, as in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Namespace => "Namespace",
            Kind::Pod => "Pod",
            Kind::ServiceAccount => "ServiceAccount",
            Kind::NetworkPolicy => "NetworkPolicy",
            Kind::PodSecurityPolicy => "PodSecurityPolicy",
            Kind::Role => "Role",
            Kind::ClusterRole => "ClusterRole",
            Kind::RoleBinding => "RoleBinding",
            Kind::ClusterRoleBinding => "ClusterRoleBinding",
            Kind::Deployment => "Deployment",
            Kind::ReplicaSet => "ReplicaSet",
            Kind::StatefulSet => "StatefulSet",
            Kind::DaemonSet => "DaemonSet",
            Kind::Job => "Job",
            Kind::CronJob => "CronJob",
            Kind::ReplicationController => "ReplicationController",
        }
    }

    /// Whether objects of this kind live in a namespace.
    pub const fn is_namespaced(self) -> bool {
        !matches!(
            self,
            Kind::Namespace | Kind::PodSecurityPolicy | Kind::ClusterRole | Kind::ClusterRoleBinding
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an object is known by: two objects of one key are versions of the same object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The object's kind.
    pub kind: Kind,
    /// Empty for kinds that are not namespaced.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// An object that takes part in decisions.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Object {
    /// A namespace and its labels.
    Namespace(ObjectMeta),
    /// A service account: only that it exists matters, and whether its token is mounted.
    ServiceAccount(ServiceAccount),
    /// A pod.
    Pod(Pod),
    /// A controller of pods, standing for the pods of its template.
    Workload(Workload),
    /// A NetworkPolicy.
    NetworkPolicy(NetworkPolicy),
    /// A PodSecurityPolicy; boxed, for it is by far the largest.
    PodSecurityPolicy(Box<PodSecurityPolicy>),
    /// A Role.
    Role(Role),
    /// A ClusterRole.
    ClusterRole(Role),
    /// A RoleBinding.
    RoleBinding(Binding),
    /// A ClusterRoleBinding.
    ClusterRoleBinding(Binding),
}

/// `v1 ServiceAccount`.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub struct ServiceAccount {
    /// Name and namespace.
    pub metadata: ObjectMeta,
    /// `automountServiceAccountToken`; unset means true.
    pub automount_token: Option<bool>,
}

impl Object {
    /// The object's kind.
    pub fn kind(&self) -> Kind {
        match self {
            Object::Namespace(_) => Kind::Namespace,
            Object::ServiceAccount(_) => Kind::ServiceAccount,
            Object::Pod(_) => Kind::Pod,
            Object::Workload(workload) => workload.kind,
            Object::NetworkPolicy(_) => Kind::NetworkPolicy,
            Object::PodSecurityPolicy(_) => Kind::PodSecurityPolicy,
            Object::Role(_) => Kind::Role,
            Object::ClusterRole(_) => Kind::ClusterRole,
            Object::RoleBinding(_) => Kind::RoleBinding,
            Object::ClusterRoleBinding(_) => Kind::ClusterRoleBinding,
        }
    }

    /// What the object is known by.
    pub fn key(&self) -> ObjectKey {
        let (namespace, name) = match self {
            Object::Namespace(m) => ("", &m.name),
            Object::ServiceAccount(o) => (o.metadata.namespace.as_str(), &o.metadata.name),
            Object::Pod(o) => (o.namespace.as_str(), &o.name),
            Object::Workload(o) => (o.pod.namespace.as_str(), &o.pod.name),
            Object::NetworkPolicy(o) => (o.namespace.as_str(), &o.name),
            Object::PodSecurityPolicy(o) => ("", &o.name),
            Object::Role(o) => (o.metadata.namespace.as_str(), &o.metadata.name),
            Object::ClusterRole(o) => ("", &o.metadata.name),
            Object::RoleBinding(o) => (o.metadata.namespace.as_str(), &o.metadata.name),
            Object::ClusterRoleBinding(o) => ("", &o.metadata.name),
        };
        ObjectKey { kind: self.kind(), namespace: namespace.into(), name: name.as_str().into() }
    }
}

/// One step from a snapshot to the next.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The object is new, or is now this.
    Upsert(Object),
    /// The object is gone. Of an object that was not there: nothing happens.
    Remove(ObjectKey),
}
