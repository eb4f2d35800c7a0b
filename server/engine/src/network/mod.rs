//! Flows between pods under NetworkPolicy.
//!
//! Pods alike share an **identity**: namespace, labels and named ports, which is all that a policy can tell of a pod
//! but its address. Policies are compiled against identities: each selector is kept once, with the set of the
//! identities it matches, and each identity holds the policies that isolate its pods. What then has to be done:
//!
//! | event | work |
//! |---|---|
//! | a pod of a known identity comes or goes | its addresses, and the workloads it belongs to |
//! | a new identity | held against those selectors that ask for one of its labels |
//! | a policy comes or goes | its new selectors against the identities that have their labels; the lists of those it isolates |
//! | a namespace's labels change | the namespace selectors it enters or leaves, against its identities |
//! | a question | two look-ups of addresses, then the rules of two identities |
//!
//! Numbers stand for everything that is looked up more than once (namespaces, identities, selectors, pods, workloads),
//! and every table is persistent: the next snapshot shares with the last what did not change.
//!
//! What Kubernetes does: `k8s.io/api/networking/v1`, whose comments are the specification.

mod address_set;
mod addresses;
mod between_workloads;
mod decision;
mod ends;
mod evaluate;
mod identities;
mod isolation;
mod line;
mod namespaces;
mod nodes;
mod packed;
mod pod_leg;
mod pods;
mod policies;
mod policy;
mod postings;
mod question;
mod rules;
mod selectors;
mod step;
#[cfg(test)]
mod tests;
mod workloads;

use std::sync::Arc;

use foldhash::fast::RandomState;

pub use decision::{FlowDecision, Leg, LegReason, RuleTrace};
pub use nodes::{NodePod, NodeVersion};
pub use policy::CompiledPolicy;
pub use question::{End, FlowError, FlowRequest};

use crate::object::{Change, Kind, Object};
use crate::persist::{IdSet, Registry, Table, Vector};
use crate::snapshot::Diagnostic;

/// The network's part of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Index {
    hasher: RandomState,
    /// Whose address it is: with `lines`, `blocks` and `selected*`, what questions read.
    addresses: addresses::Addresses,
    /// What questions read of identities.
    lines: line::Lines,
    identities: Registry<Arc<identities::Identity>>,
    /// How many pods and templates each identity stands for.
    identity_references: Vector<u32, 64>,
    /// Identities by namespace and label, of namespaces that have more than a few.
    identity_labels: postings::Postings,
    namespaces: Registry<Arc<namespaces::Namespace>>,
    /// Namespaces by label.
    namespace_labels: postings::Postings,
    namespace_selectors: Registry<selectors::NamespaceSelector>,
    /// Namespace selectors by a label they ask for.
    namespace_selector_anchors: postings::Postings,
    /// The namespaces that each namespace selector matches.
    selected_namespaces: Vector<IdSet>,
    pod_selectors: Registry<Arc<selectors::PodSelector>>,
    selector_uses: Vector<selectors::SelectorUse>,
    /// Pod selectors by scope and a label they ask for, but those of namespaces that have only a few.
    pod_selector_anchors: postings::Postings,
    /// The identities that each pod selector matches; left empty for those that match all of their scope.
    selected: Vector<IdSet>,
    /// The addresses that rules allow, each such set once.
    blocks: Registry<Arc<address_set::AddressSet>>,
    block_references: Vector<u32, 64>,
    policies: Table<Arc<CompiledPolicy>>,
    pods: Registry<Arc<pods::PodRecord>>,
    workloads: Registry<Arc<workloads::WorkloadRecord>>,
    nodes: Registry<Arc<nodes::NodeRecord>>,
}

impl Index {
    /// Folds one change in; changes of other kinds are ignored.
    pub(crate) fn apply(&mut self, change: &Change) -> Vec<Diagnostic> {
        match change {
            Change::Upsert(object) => return self.upsert(object),
            Change::Remove(key) => match key.kind {
                Kind::Namespace => self.undeclare_namespace(&key.name),
                Kind::Pod => self.remove_pod(&key.namespace, &key.name),
                Kind::NetworkPolicy => self.remove_policy(&key.namespace, &key.name),
                Kind::Deployment
                | Kind::ReplicaSet
                | Kind::StatefulSet
                | Kind::DaemonSet
                | Kind::Job
                | Kind::CronJob
                | Kind::ReplicationController => {
                    self.remove_workload(&key.namespace, key.kind.as_str(), &key.name);
                }
                Kind::ServiceAccount
                | Kind::PodSecurityPolicy
                | Kind::Role
                | Kind::ClusterRole
                | Kind::RoleBinding
                | Kind::ClusterRoleBinding => {}
            },
        }
        Vec::new()
    }

    fn upsert(&mut self, object: &Object) -> Vec<Diagnostic> {
        match object {
            Object::Namespace(metadata) => self.declare_namespace(&metadata.name, &metadata.labels),
            Object::Pod(pod) => self.upsert_pod(pod),
            Object::Workload(workload) => self.upsert_workload(workload),
            Object::NetworkPolicy(policy) => return self.upsert_policy(policy),
            Object::ServiceAccount(_)
            | Object::PodSecurityPolicy(_)
            | Object::Role(_)
            | Object::ClusterRole(_)
            | Object::RoleBinding(_)
            | Object::ClusterRoleBinding(_) => {}
        }
        Vec::new()
    }
}
