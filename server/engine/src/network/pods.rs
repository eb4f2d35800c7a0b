//! Pods: what a pod has besides its identity.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use super::Index;
use super::addresses::Owner;
use crate::object::{Pod, Uid};

/// A pod.
#[derive(Debug, PartialEq)]
pub(super) struct PodRecord {
    pub(super) namespace: u32,
    pub(super) identity: u32,
    pub(super) name: Box<str>,
    pub(super) uid: Option<Uid>,
    pub(super) host_network: bool,
    /// The node it is bound to, by number; none while it is bound to none.
    node: Option<u32>,
    /// Its addresses may belong to another pod by now.
    pub(super) terminated: bool,
    /// In the order of `status.podIPs`, none twice.
    pub(super) addresses: SmallVec<[IpAddr; 1]>,
    /// The workloads it belongs to, by number.
    workloads: SmallVec<[u32; 2]>,
}

impl PodRecord {
    /// The addresses that are surely its own.
    pub(super) fn live_addresses(&self) -> &[IpAddr] {
        if self.terminated { &[] } else { &self.addresses }
    }

    fn owner(&self, pod: u32) -> Owner {
        Owner::new(pod, (!self.host_network).then_some(self.identity))
    }
}

impl Index {
    pub(super) fn find_pod(&self, namespace: &str, name: &str) -> Option<(u32, &PodRecord)> {
        let (namespace, _) = self.find_namespace(namespace)?;
        self.pod_of(namespace, name)
    }

    fn pod_of(&self, namespace: u32, name: &str) -> Option<(u32, &PodRecord)> {
        let hash = self.hasher.hash_one((namespace, name));
        let (id, pod) = self.pods.find(hash, |pod| pod.namespace == namespace && *pod.name == *name)?;
        Some((id, pod))
    }

    pub(super) fn upsert_pod(&mut self, pod: &Pod) {
        let namespace = self.ensure_namespace(&pod.namespace);
        let identity = self.acquire_identity(namespace, &pod.labels, &pod.ports);
        let mut record = PodRecord {
            namespace,
            identity,
            name: pod.name.as_str().into(),
            uid: pod.uid,
            host_network: pod.host_network,
            node: (!pod.node.is_empty()).then(|| self.ensure_node(&pod.node)),
            terminated: pod.terminated,
            addresses: SmallVec::new(),
            workloads: SmallVec::new(),
        };
        for address in &pod.addresses {
            let address = address.to_canonical();
            if !record.addresses.contains(&address) {
                record.addresses.push(address);
            }
        }
        for (kind, name) in owners(pod) {
            record.workloads.push(self.ensure_workload(namespace, kind, name));
        }
        let old = self.pod_of(namespace, &pod.name).map(|(id, _)| id);
        let old = old.and_then(|id| Some((id, Arc::clone(self.pods.get(id)?))));
        if let Some((id, old)) = &old {
            if **old == record {
                // Its node, and its workloads, it had before.
                return self.release_identity(identity);
            }
            self.detach(*id, old);
        }
        let record = Arc::new(record);
        let id = match old.as_ref().and_then(|(id, _)| Some((*id, self.pods.get_mut(*id)?))) {
            Some((id, place)) => {
                *place = Arc::clone(&record);
                id
            }
            None => {
                self.pods.insert(self.hasher.hash_one((namespace, pod.name.as_str())), Arc::clone(&record))
            }
        };
        for address in record.live_addresses() {
            self.addresses.insert(*address, record.owner(id));
        }
        for workload in &record.workloads {
            self.join_workload(*workload, id);
        }
        if let Some(node) = record.node {
            self.join_node(node, id);
        }
        if let Some((_, old)) = old {
            self.release(&old);
        }
    }

    pub(super) fn remove_pod(&mut self, namespace: &str, name: &str) {
        let Some((id, record)) = self.find_pod(namespace, name) else { return };
        let hash = self.hasher.hash_one((record.namespace, name));
        let Some(record) = self.pods.get(id).cloned() else { return };
        self.detach(id, &record);
        self.pods.remove(hash, id);
        self.release(&record);
    }

    fn detach(&mut self, id: u32, record: &PodRecord) {
        for address in record.live_addresses() {
            let pods = &self.pods;
            self.addresses.remove(*address, id, |other| Some(pods.get(other)?.owner(other)));
        }
        for workload in &record.workloads {
            self.leave_workload(*workload, id);
        }
        if let Some(node) = record.node {
            self.leave_node(node, id);
        }
    }

    fn release(&mut self, record: &PodRecord) {
        for workload in &record.workloads {
            self.tidy_workload(*workload);
        }
        if let Some(node) = record.node {
            self.tidy_node(node);
        }
        self.release_identity(record.identity);
    }
}

/// The owners that a pod is asked for by: its controller, and the Deployment whose ReplicaSet that is. A Deployment
/// names its ReplicaSets after itself and the hash of the pod template, which is also a label of the pods
/// (`pkg/controller/deployment/sync.go`, `getNewReplicaSet`).
fn owners(pod: &Pod) -> impl Iterator<Item = (&str, &str)> {
    let owner = pod.owner.as_ref().map(|(kind, name)| (kind.as_str(), name.as_str()));
    let deployment = owner.filter(|(kind, _)| *kind == "ReplicaSet").and_then(|(_, name)| {
        let hash = pod.labels.get("pod-template-hash").filter(|hash| !hash.is_empty())?;
        let name = name.strip_suffix(hash.as_str())?.strip_suffix('-')?;
        (!name.is_empty()).then_some(("Deployment", name))
    });
    owner.into_iter().chain(deployment)
}
