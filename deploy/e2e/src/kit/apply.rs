//! Manifests, applied to a real API server; those of kinds that it does not have are read by their own projects' types.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::control_plane::ControlPlane;
use super::folder::Folder;

/// Groups of others, that this API server does not have: cert-manager's, and the Prometheus operator's.
const ELSEWHERE: [&str; 2] = ["cert-manager.io/", "monitoring.coreos.com/"];

/// Applies the manifests for good, by the server's side, where an unknown field is an error; it is one of the others,
/// too. What was applied, and of others' kinds read, in words.
pub(crate) async fn apply(
    plane: &ControlPlane,
    folder: &Folder,
    name: &str,
    manifests: &str,
) -> anyhow::Result<String> {
    let (others, ours): (Vec<&str>, Vec<&str>) = manifests
        .split("\n---\n")
        .filter(|document| document.lines().any(|line| line.starts_with("kind: ")))
        .partition(|document| {
            let version = document.lines().find_map(|line| line.strip_prefix("apiVersion: "));
            version.is_some_and(|version| ELSEWHERE.iter().any(|group| version.starts_with(group)))
        });
    let read = read_others(&others.join("\n---\n")).await.with_context(|| name.to_owned())?;
    ensure!(read.values().sum::<usize>() == others.len(), "{name}: {} objects, and {read:?}", others.len());
    let file = folder.write(&format!("{name}.yaml"), &ours.join("\n---\n"))?;
    let file = file.to_string_lossy();
    let arguments = ["apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", &file];
    let applied = plane.kubectl.run(&arguments).await.with_context(|| name.to_owned())?;
    ensure!(applied.lines().count() == ours.len(), "{name}: {} objects, and {applied}", ours.len());
    Ok(format!("{} objects applied, read by others' types: {read:?}", ours.len()))
}

/// How many there are of each kind.
async fn read_others(manifests: &str) -> anyhow::Result<BTreeMap<String, usize>> {
    let program = std::env::var_os("GAVEL_E2E_FOREIGN")
        .context("GAVEL_E2E_FOREIGN is not set: run the scenarios with deploy/e2e/run")?;
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut pipe = child.stdin.take().context("no standard input")?;
    // It may end before it has read all; its own words tell why.
    let _ = pipe.write_all(manifests.as_bytes()).await;
    drop(pipe);
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut kinds = BTreeMap::new();
    for kind in String::from_utf8_lossy(&output.stdout).lines() {
        *kinds.entry(kind.to_owned()).or_default() += 1;
    }
    Ok(kinds)
}
