//! Workloads: whatever owns pods, and whatever has a template for them.

use std::hash::BuildHasher;
use std::sync::Arc;

use super::Index;
use crate::object::Workload;
use crate::persist::IdSet;

/// An owner of pods, by its kind and name as the pods have them; or an object with a template; or both.
#[derive(Clone, Debug)]
pub(super) struct WorkloadRecord {
    namespace: u32,
    kind: Box<str>,
    name: Box<str>,
    /// The pods it owns, by number.
    pub(super) pods: IdSet,
    /// The identity of the pods of its template.
    pub(super) template: Option<u32>,
}

impl Index {
    pub(super) fn find_workload(&self, namespace: &str, kind: &str, name: &str) -> Option<&WorkloadRecord> {
        let (namespace, _) = self.find_namespace(namespace)?;
        let id = self.workload_of(namespace, kind, name)?;
        self.workloads.get(id).map(|workload| &**workload)
    }

    fn workload_of(&self, namespace: u32, kind: &str, name: &str) -> Option<u32> {
        let hash = self.hasher.hash_one((namespace, kind, name));
        let found = self.workloads.find(hash, |workload| {
            workload.namespace == namespace && *workload.kind == *kind && *workload.name == *name
        });
        found.map(|(id, _)| id)
    }

    fn workload_mut(&mut self, id: u32) -> Option<&mut WorkloadRecord> {
        self.workloads.get_mut(id).map(Arc::make_mut)
    }

    /// The workload's number, known or not yet.
    pub(super) fn ensure_workload(&mut self, namespace: u32, kind: &str, name: &str) -> u32 {
        if let Some(id) = self.workload_of(namespace, kind, name) {
            return id;
        }
        let workload = WorkloadRecord {
            namespace,
            kind: kind.into(),
            name: name.into(),
            pods: IdSet::default(),
            template: None,
        };
        self.workloads.insert(self.hasher.hash_one((namespace, kind, name)), Arc::new(workload))
    }

    pub(super) fn join_workload(&mut self, id: u32, pod: u32) {
        if let Some(workload) = self.workload_mut(id) {
            workload.pods.insert(pod);
        }
    }

    pub(super) fn leave_workload(&mut self, id: u32, pod: u32) {
        if let Some(workload) = self.workload_mut(id) {
            workload.pods.remove(pod);
        }
    }

    /// Forgets the workload if it has neither pods nor a template.
    pub(super) fn tidy_workload(&mut self, id: u32) {
        let Some(workload) = self.workloads.get(id) else { return };
        if workload.pods.is_empty() && workload.template.is_none() {
            let hash = self.hasher.hash_one((workload.namespace, &*workload.kind, &*workload.name));
            self.workloads.remove(hash, id);
        }
    }

    pub(super) fn upsert_workload(&mut self, workload: &Workload) {
        let pod = &workload.pod;
        let namespace = self.ensure_namespace(&pod.namespace);
        let template = self.acquire_identity(namespace, &pod.labels, &pod.ports);
        let id = self.ensure_workload(namespace, workload.kind.as_str(), &pod.name);
        let old = self.workload_mut(id).and_then(|workload| workload.template.replace(template));
        if let Some(old) = old {
            self.release_identity(old);
        }
    }

    pub(super) fn remove_workload(&mut self, namespace: &str, kind: &str, name: &str) {
        let Some((namespace, _)) = self.find_namespace(namespace) else { return };
        let Some(id) = self.workload_of(namespace, kind, name) else { return };
        let old = self.workload_mut(id).and_then(|workload| workload.template.take());
        self.tidy_workload(id);
        if let Some(old) = old {
            self.release_identity(old);
        }
    }
}
