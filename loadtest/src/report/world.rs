//! A generated cluster in a folder, and questions about it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use gavel_engine::{Change, Snapshot};
use gavel_generator::{Cluster, Size, Written, write};
use gavel_proto::v1;

use crate::lines;

/// Different questions of each kind.
const FLOWS: usize = 2000;
const ADMISSIONS: usize = 500;

/// A cluster in a folder, and questions about it.
pub(super) struct World {
    pub(super) cluster: Cluster,
    pub(super) manifests: PathBuf,
    pub(super) written: Written,
    pub(super) flows: Vec<v1::CheckFlowRequest>,
    pub(super) admissions: Vec<v1::AdmitRequest>,
    /// The same with messages instead of JSON.
    pub(super) typed: Vec<v1::AdmitRequest>,
}

impl World {
    /// Writes a cluster of so many pods, and of everything else as much as that many have.
    pub(super) fn new(pods: u32, folder: &Path) -> anyhow::Result<Self> {
        Self::of_pods(pods, pods, folder)
    }

    /// The same, with everything else as of another number of pods.
    pub(super) fn of_pods(pods: u32, otherwise: u32, folder: &Path) -> anyhow::Result<Self> {
        let size = Size {
            namespaces: (otherwise / 100).max(3),
            pods,
            policies: otherwise / 10,
            pod_security_policies: 10,
            bindings: (otherwise / 10).max(2),
            seed: 1,
        };
        let cluster = Cluster::new(size)?;
        let written = write(&cluster, folder, FLOWS, ADMISSIONS)
            .with_context(|| format!("cannot write into {}", folder.display()))?;
        let admissions = lines::admissions(&folder.join("admit.jsonl"))?;
        let typed: Vec<_> = admissions.iter().filter_map(gavel_conformance::typed::request_of).collect();
        ensure!(typed.len() == admissions.len(), "some pods cannot be written as messages");
        let flows = lines::flows(&folder.join("check-flow.jsonl"))?;
        Ok(Self { cluster, manifests: folder.join("manifests"), written, flows, admissions, typed })
    }

    /// The engine's own snapshot of the manifests.
    pub(super) fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let reading = gavel_source::manifests::read(std::slice::from_ref(&self.manifests));
        ensure!(reading.errors.is_empty(), "{}: {:?}", self.manifests.display(), reading.errors.first());
        let changes = reading.objects.into_iter().map(|located| Change::Upsert(located.item));
        Ok(Snapshot::empty().apply(changes))
    }

    /// How much of everything it has, in words.
    pub(super) fn words(&self) -> String {
        let Size { namespaces, pods, policies, pod_security_policies, bindings, .. } = self.cluster.size();
        format!(
            "{pods} pods, {namespaces} namespaces, {policies} NetworkPolicies, \
             {pod_security_policies} PodSecurityPolicies, {bindings} bindings"
        )
    }
}
