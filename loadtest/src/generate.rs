//! `gavel-loadtest generate`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use gavel_generator::{Cluster, Size, write};

#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// The folder: manifests/*.json, check-flow.jsonl, admit.jsonl
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    size: SizeFlags,
    /// Questions of check-flow.jsonl
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    flows: usize,
    /// Questions of admit.jsonl
    #[arg(long, value_name = "NUMBER", default_value_t = 2_000)]
    admissions: usize,
}

/// How much of everything there is.
#[derive(Debug, Args)]
pub(crate) struct SizeFlags {
    /// Namespaces; else one for a hundred pods
    #[arg(long, value_name = "NUMBER")]
    namespaces: Option<u32>,
    /// Pods
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    pods: u32,
    /// NetworkPolicies; else a tenth of the pods
    #[arg(long, value_name = "NUMBER")]
    policies: Option<u32>,
    /// PodSecurityPolicies
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    pod_security_policies: u32,
    /// RoleBindings and ClusterRoleBindings; else a tenth of the pods
    #[arg(long, value_name = "NUMBER")]
    bindings: Option<u32>,
    /// Another cluster of the same size for another number
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

impl SizeFlags {
    pub(crate) fn size(&self) -> Size {
        Size {
            namespaces: self.namespaces.unwrap_or((self.pods / 100).max(3)),
            pods: self.pods,
            policies: self.policies.unwrap_or(self.pods / 10),
            pod_security_policies: self.pod_security_policies,
            bindings: self.bindings.unwrap_or((self.pods / 10).max(2)),
            seed: self.seed,
        }
    }
}

impl Generate {
    pub(crate) fn execute(&self) -> anyhow::Result<()> {
        let cluster = Cluster::new(self.size.size())?;
        let written = write(&cluster, &self.folder, self.flows, self.admissions)
            .with_context(|| format!("cannot write into {}", self.folder.display()))?;
        println!(
            "{}: {} objects in {} files ({} MB), {} flows, {} admissions",
            self.folder.display(),
            written.objects,
            written.files,
            written.bytes / 1_000_000,
            self.flows,
            self.admissions
        );
        Ok(())
    }
}
