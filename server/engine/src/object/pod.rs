//! `v1 Pod`, and the controllers whose templates stand for pods: what flow questions look at.

use std::net::IpAddr;

use super::{Kind, Labels, Protocol, Uid};

/// A pod, as NetworkPolicy sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Tells it from another of its name; none where nobody gave it one, as in manifests.
    pub uid: Option<Uid>,
    /// The node it is bound to, `spec.nodeName`; empty: to none yet.
    pub node: String,
    /// What selectors look at.
    pub labels: Labels,
    /// Kind and name of the controlling owner (or of the first owner, when none is marked as controller).
    /// An owner that names no kind counts as a `Pod`.
    pub owner: Option<(String, String)>,
    /// Shares its node's network: NetworkPolicy does not hold such pods.
    pub host_network: bool,
    /// Named ports of its containers, and of its restartable init containers (as `podutil.FindPort`).
    pub ports: Vec<ContainerPort>,
    /// `status.podIPs` (or `podIP`), in order; IPv4-mapped IPv6 read as IPv4.
    pub addresses: Vec<IpAddr>,
    /// `status.phase` is `Succeeded` or `Failed`: its addresses may belong to another pod by now.
    pub terminated: bool,
}

/// A container port that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerPort {
    /// The name policies may use.
    pub name: String,
    /// Defaulted to TCP.
    pub protocol: Protocol,
    /// 1 to 65535.
    pub port: u16,
}

/// A controller of pods; for flow questions it stands for the pods of its template.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Workload {
    /// Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob or ReplicationController.
    pub kind: Kind,
    /// Namespace and name of the workload itself; labels, ports and host network of its template.
    /// Without owner and addresses.
    pub pod: Pod,
}
