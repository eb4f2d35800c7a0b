//! kubectl, as a user has it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// kubectl with one kubeconfig.
#[derive(Clone, Debug)]
pub(crate) struct Kubectl {
    binary: PathBuf,
    kubeconfig: PathBuf,
    /// What it learns about an API server is kept beside its kubeconfig, not in the user's home.
    cache: PathBuf,
}

/// What a run of kubectl left.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Kubectl {
    pub(crate) fn new(binary: &Path, kubeconfig: &Path) -> Self {
        Self {
            binary: binary.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            cache: kubeconfig.with_extension("cache"),
        }
    }

    /// Runs it; that it fails is an answer, too.
    pub(crate) async fn try_run(&self, arguments: &[&str], stdin: &str) -> anyhow::Result<Output> {
        let mut child = Command::new(&self.binary)
            .arg0("kubectl")
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(&self.cache)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start kubectl")?;
        let mut pipe = child.stdin.take().context("kubectl has no standard input")?;
        // kubectl may end without reading it; its own words tell why.
        let _ = pipe.write_all(stdin.as_bytes()).await;
        drop(pipe);
        let output = child.wait_with_output().await?;
        Ok(Output {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it, and gives back what it prints.
    pub(crate) async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.run_with(arguments, "").await
    }

    async fn run_with(&self, arguments: &[&str], stdin: &str) -> anyhow::Result<String> {
        let output = self.try_run(arguments, stdin).await?;
        ensure!(output.success, "kubectl {}: {}{}", arguments.join(" "), output.stdout, output.stderr);
        Ok(output.stdout)
    }

    /// `kubectl apply -f -`.
    pub(crate) async fn apply(&self, manifests: &str) -> anyhow::Result<String> {
        self.run_with(&["apply", "-f", "-"], manifests).await
    }
}
