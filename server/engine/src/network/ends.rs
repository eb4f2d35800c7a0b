//! From an end as asked for to what policies can tell of it.

use std::net::IpAddr;
use std::sync::Arc;

use super::Index;
use super::addresses::Owner;
use super::namespaces::implied_labels;
use super::packed::PackedLabels;
use super::policy::{CompiledPolicy, Direction};
use super::question::{End, FlowError};
use super::selectors::Scope;
use crate::object::Labels;

/// What policies can tell of an end, besides its address.
#[derive(Clone, Debug)]
pub(super) enum Who {
    /// A pod of this identity.
    Pod(u32),
    /// A pod that does not exist yet.
    Unborn(Arc<Unborn>),
    /// A pod that policies do not hold.
    HostNetwork,
    /// No pod.
    Nobody,
}

/// A pod that does not exist yet: its labels are held against selectors directly.
#[derive(Debug)]
pub(super) struct Unborn {
    /// Unset: nothing else speaks of the namespace.
    pub(super) namespace: Option<u32>,
    pub(super) labels: PackedLabels,
    pub(super) namespace_labels: Arc<Labels>,
    ingress: Vec<Arc<CompiledPolicy>>,
    egress: Vec<Arc<CompiledPolicy>>,
}

impl Unborn {
    pub(super) fn isolating(&self, direction: Direction) -> &[Arc<CompiledPolicy>] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// One end, with every address it may use.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'s> {
    pub(super) who: Who,
    /// The pod's number, where it is one certain pod.
    pub(super) pod: Option<u32>,
    pub(super) addresses: Candidates<'s>,
}

/// The addresses an end may use. Those asked for are as they were written, IPv4 perhaps as IPv6.
#[derive(Clone, Copy, Debug)]
pub(super) enum Candidates<'s> {
    /// This one, as asked for.
    Given(&'s IpAddr),
    /// One of these; none: nobody knows.
    Listed(&'s [IpAddr]),
}

impl<'s> Candidates<'s> {
    pub(super) fn as_slice(&self) -> &'s [IpAddr] {
        match self {
            Candidates::Given(address) => std::slice::from_ref(*address),
            Candidates::Listed(addresses) => addresses,
        }
    }
}

/// An end, or the pods that an end stands for.
pub(super) enum Resolved<'s> {
    One(Candidate<'s>),
    Several(Vec<Candidate<'s>>),
}

impl<'s> Resolved<'s> {
    pub(super) fn into_vec(self) -> Vec<Candidate<'s>> {
        match self {
            Resolved::One(candidate) => vec![candidate],
            Resolved::Several(candidates) => candidates,
        }
    }
}

/// Who has an address.
fn who(owner: Option<Owner>) -> Who {
    match owner.map(Owner::identity) {
        None => Who::Nobody,
        Some(None) => Who::HostNetwork,
        Some(Some(identity)) => Who::Pod(identity),
    }
}

impl Index {
    /// `role` is `source` or `destination`.
    pub(super) fn resolve<'s>(&'s self, role: &str, end: &'s End<'_>) -> Result<Resolved<'s>, FlowError> {
        match end {
            End::Ip(address) => Ok(Resolved::One(self.by_address(address))),
            End::Pod { namespace, name, ip } => self.by_name(role, namespace, name, *ip).map(Resolved::One),
            End::Workload { namespace, kind, name } => self.by_workload(role, namespace, kind, name),
            End::Labels { namespace, labels } => Ok(Resolved::One(self.by_labels(namespace, labels))),
        }
    }

    fn by_address<'s>(&'s self, address: &'s IpAddr) -> Candidate<'s> {
        let owner = self.addresses.owner(address);
        Candidate {
            who: who(owner),
            pod: owner.map(|owner| owner.pod),
            addresses: Candidates::Given(address),
        }
    }

    fn by_name(
        &self,
        role: &str,
        namespace: &str,
        name: &str,
        ip: Option<IpAddr>,
    ) -> Result<Candidate<'_>, FlowError> {
        let Some((id, pod)) = self.find_pod(namespace, name) else {
            return Err(FlowError::new(format!("{role}.pod"), self.no_such("Pod", namespace, name)));
        };
        let who = if pod.host_network { Who::HostNetwork } else { Who::Pod(pod.identity) };
        let named = |addresses| Candidate { who, pod: Some(id), addresses };
        match ip.map(|ip| ip.to_canonical()) {
            None => Ok(named(Candidates::Listed(pod.live_addresses()))),
            Some(ip) => {
                if let Some(ip) = pod.live_addresses().iter().find(|own| **own == ip) {
                    return Ok(named(Candidates::Given(ip)));
                }
                let message = match pod.live_addresses() {
                    _ if pod.terminated => {
                        format!("Pod \"{namespace}/{name}\" has terminated: no address is its own any more")
                    }
                    [] => format!("Pod \"{namespace}/{name}\" has no known address"),
                    addresses => {
                        let own: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                        format!("Pod \"{namespace}/{name}\" has {}, not {ip}", own.join(" and "))
                    }
                };
                Err(FlowError::new(format!("{role}.pod.ip"), message))
            }
        }
    }

    /// The pods that a workload owns and that have not terminated; else those of its template; else those that have.
    ///
    /// What becomes of policies that select pods in the host's network, Kubernetes leaves to the network plugin: it may
    /// hold such pods like any other, or take them for their node ("NetworkPolicy and hostNetwork pods" in
    /// <https://kubernetes.io/docs/concepts/services-networking/network-policies/>). By an address nobody can tell such
    /// a pod from its node, so there it is the latter. A question about a workload is one about what its policies say,
    /// which are held against its labels.
    fn by_workload(
        &self,
        role: &str,
        namespace: &str,
        kind: &str,
        name: &str,
    ) -> Result<Resolved<'_>, FlowError> {
        let workload = self.find_workload(namespace, kind, name);
        let mut pods: Vec<_> = workload
            .into_iter()
            .flat_map(|workload| workload.pods.iter())
            .filter_map(|id| Some((id, &**self.pods.get(id)?)))
            .collect();
        if pods.is_empty() && kind == "Pod" {
            pods.extend(self.find_pod(namespace, name));
        }
        if pods.iter().any(|(_, pod)| !pod.terminated) {
            pods.retain(|(_, pod)| !pod.terminated);
        } else if let Some(template) = workload.and_then(|workload| workload.template) {
            let who = Who::Pod(template);
            let addresses = Candidates::Listed(&[]);
            return Ok(Resolved::One(Candidate { who, pod: None, addresses }));
        }
        if pods.is_empty() {
            return Err(FlowError::new(format!("{role}.workload"), self.no_such(kind, namespace, name)));
        }
        // By name, so that answers do not depend on the order in which pods came.
        pods.sort_unstable_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        let candidates = pods.into_iter().map(|(id, pod)| Candidate {
            who: Who::Pod(pod.identity),
            pod: Some(id),
            addresses: Candidates::Listed(pod.live_addresses()),
        });
        Ok(Resolved::Several(candidates.collect()))
    }

    fn by_labels(&self, namespace: &str, labels: &Labels) -> Candidate<'_> {
        let found = self.find_namespace(namespace);
        let labels = PackedLabels::new(labels);
        let mut matching = Vec::new();
        if let Some((id, _)) = found {
            self.matching_pod_selectors(Scope::Namespace(id), &labels, &mut matching);
        }
        let mut policies: Vec<_> = matching
            .into_iter()
            .filter_map(|selector| self.selector_uses.get(selector))
            .flat_map(|uses| uses.subjects.iter().cloned())
            .collect();
        policies.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let isolating = |direction| {
            let isolating = policies.iter().filter(|policy| policy.isolates(direction));
            isolating.cloned().collect()
        };
        let unborn = Unborn {
            namespace: found.map(|(id, _)| id),
            labels,
            namespace_labels: found.map_or_else(
                || Arc::new(implied_labels(namespace)),
                |(_, namespace)| Arc::clone(&namespace.labels),
            ),
            ingress: isolating(Direction::Ingress),
            egress: isolating(Direction::Egress),
        };
        Candidate { who: Who::Unborn(Arc::new(unborn)), pod: None, addresses: Candidates::Listed(&[]) }
    }

    /// What to say of something that is not there.
    fn no_such(&self, kind: &str, namespace: &str, name: &str) -> String {
        const KINDS: [&str; 8] = [
            "Deployment",
            "StatefulSet",
            "DaemonSet",
            "ReplicaSet",
            "ReplicationController",
            "Job",
            "CronJob",
            "Pod",
        ];
        let mut message = format!("{kind} \"{namespace}/{name}\" does not exist");
        if !KINDS.contains(&kind) {
            let kinds = KINDS.join(", ");
            message += &format!(
                ", nor is \"{kind}\" the kind of any owner of that name: kinds are written as in manifests, {kinds}"
            );
        } else if self.find_namespace(namespace).is_none() {
            message += &format!(", nor does anything else in namespace \"{namespace}\"");
        }
        message
    }
}
