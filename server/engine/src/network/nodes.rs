//! Nodes: which pods are on them, for whoever enforces what policies say there.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use super::Index;
use super::pods::PodRecord;
use super::policy::Direction;
use crate::object::Uid;
use crate::persist::IdSet;

/// A node, known by the pods that are bound to it.
#[derive(Clone, Debug)]
pub(super) struct NodeRecord {
    name: Box<str>,
    /// By number.
    pods: IdSet,
}

/// A pod with addresses of its own, and whether policies hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePod<'s> {
    /// Its namespace.
    pub namespace: &'s str,
    /// Its name.
    pub name: &'s str,
    /// Tells it from another of its name, where it has one.
    pub uid: Option<Uid>,
    /// In the order of `status.podIPs`; at least one.
    pub addresses: &'s [IpAddr],
    /// Whether any policy isolates it for ingress.
    pub ingress_isolated: bool,
    /// Whether any policy isolates it for egress.
    pub egress_isolated: bool,
}

/// Which pods are on a node, and how they are, but for what policies make of them: the same as another one if it is of
/// another snapshot of the same cluster in which no pod of the node has changed.
#[derive(Clone, Debug)]
pub struct NodeVersion(Option<Arc<NodeRecord>>);

impl PartialEq for NodeVersion {
    /// Records are shared from one snapshot to the next, and copied when they change.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Index {
    /// The version of a node's pods.
    pub fn node_version(&self, node: &str) -> NodeVersion {
        NodeVersion(self.node_of(node).and_then(|id| self.nodes.get(id)).cloned())
    }

    /// The pods of a node that policies could hold: those with addresses of their own, which pods in the host's network
    /// and those that have terminated have not. In no order.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = NodePod<'_>> {
        let node = self.node_of(node).and_then(|id| self.nodes.get(id));
        let pods = node.into_iter().flat_map(|node| node.pods.iter());
        pods.filter_map(|id| self.node_pod(self.pods.get(id)?))
    }

    /// The same of all nodes, and of pods that are bound to none.
    pub fn pods_anywhere(&self) -> impl Iterator<Item = NodePod<'_>> {
        self.pods.iter().filter_map(|(_, pod)| self.node_pod(pod))
    }

    fn node_pod<'s>(&'s self, pod: &'s PodRecord) -> Option<NodePod<'s>> {
        let addresses = pod.live_addresses();
        if pod.host_network || addresses.is_empty() {
            return None;
        }
        let namespace = &self.namespaces.get(pod.namespace)?.name;
        let isolated = |direction| !self.isolating_identity(pod.identity, direction).is_empty();
        Some(NodePod {
            namespace,
            name: &pod.name,
            uid: pod.uid,
            addresses,
            ingress_isolated: isolated(Direction::Ingress),
            egress_isolated: isolated(Direction::Egress),
        })
    }

    fn node_of(&self, name: &str) -> Option<u32> {
        let found = self.nodes.find(self.hasher.hash_one(name), |node| *node.name == *name);
        found.map(|(id, _)| id)
    }

    /// The node's number, known or not yet.
    pub(super) fn ensure_node(&mut self, name: &str) -> u32 {
        match self.node_of(name) {
            Some(id) => id,
            None => {
                let node = NodeRecord { name: name.into(), pods: IdSet::default() };
                self.nodes.insert(self.hasher.hash_one(name), Arc::new(node))
            }
        }
    }

    pub(super) fn join_node(&mut self, id: u32, pod: u32) {
        if let Some(node) = self.nodes.get_mut(id) {
            Arc::make_mut(node).pods.insert(pod);
        }
    }

    pub(super) fn leave_node(&mut self, id: u32, pod: u32) {
        if let Some(node) = self.nodes.get_mut(id) {
            Arc::make_mut(node).pods.remove(pod);
        }
    }

    /// Forgets the node if it has no pods.
    pub(super) fn tidy_node(&mut self, id: u32) {
        let Some(node) = self.nodes.get(id) else { return };
        if node.pods.is_empty() {
            let hash = self.hasher.hash_one(&*node.name);
            self.nodes.remove(hash, id);
        }
    }
}
