//! Helm, as a user has it.

use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use super::folder::Folder;
use super::kubectl::Output;
use super::scenario::in_repository;

/// Where the chart is in this repository.
pub(crate) const CHART: &str = "deploy/helm/gavel";

/// What Helm says; that it fails is an answer, too.
pub(crate) async fn try_helm(folder: &Folder, arguments: &[&str]) -> anyhow::Result<Output> {
    let helm = std::env::var_os("GAVEL_E2E_HELM")
        .context("GAVEL_E2E_HELM is not set: run the scenarios with deploy/e2e/run")?;
    let home = folder.file("helm");
    let output = Command::new(helm)
        .args(arguments)
        .current_dir(in_repository("."))
        // What it keeps is kept here, not in the user's home.
        .env("HELM_CACHE_HOME", home.join("cache"))
        .env("HELM_CONFIG_HOME", home.join("config"))
        .env("HELM_DATA_HOME", home.join("data"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot start helm")?;
    Ok(Output {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs Helm, and gives back what it prints.
pub(crate) async fn helm(folder: &Folder, arguments: &[&str]) -> anyhow::Result<String> {
    let output = try_helm(folder, arguments).await?;
    ensure!(output.success, "helm {}: {}{}", arguments.join(" "), output.stdout, output.stderr);
    Ok(output.stdout)
}
