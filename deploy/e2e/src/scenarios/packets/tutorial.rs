//! The tutorial's walk through NetworkPolicy, with curl: once from a folder of manifests, once from a real API server.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use crate::kit::{GavelNode, GavelServer, Scenario, World, in_repository, wait};

const NAMESPACE: &str = "packets-tutorial";
const PODS: &str = "client/cli/demo/network/pods.yaml";
const ACCEPT_SECURESHELL: &str = "client/cli/demo/network/accept-secureshell.yaml";
/// Nobody else has them: scenarios share a cluster.
const ADDRESSES: [(&str, &str); 3] =
    [("apiserver", "10.97.0.1"), ("shell", "10.97.0.2"), ("secureshell", "10.97.0.3")];
/// How long a change may take until it is enforced: manifests are looked at twice a second.
const SOON: Duration = Duration::from_secs(20);

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    by_manifests(scenario).await?;
    by_an_api_server(scenario).await
}

async fn world(scenario: &Scenario) -> anyhow::Result<World> {
    let mut world = World::new().await?;
    for (pod, address) in ADDRESSES {
        world.add(pod, &[address]).await?;
    }
    world.serve(&scenario.folder, "apiserver", &["TCP:8080"]).await?;
    Ok(world)
}

/// Whether curl is served, as it is in the tutorial.
async fn is_served(world: &World, pod: &str) -> anyhow::Result<bool> {
    let curl = ["curl", "--silent", "--show-error", "--max-time", "1", "http://10.97.0.1:8080"];
    let output = world.command(Some(pod), &curl).output().await?;
    match output.status.code() {
        Some(0) => {
            ensure!(output.stdout == b"served\n", "curl was served something else: {output:?}");
            Ok(true)
        }
        // Timed out: nothing was refused, nothing came.
        Some(28) => Ok(false),
        _ => anyhow::bail!("curl: {output:?}"),
    }
}

/// Waits until shell is served, or is not; secureshell is, in any case.
async fn until_shell_is(world: &World, served: bool) -> anyhow::Result<()> {
    let what = if served { "shell is served" } else { "shell is blocked" };
    wait::until_is(what, SOON, async || is_served(world, "shell").await, |is| *is == served).await?;
    ensure!(is_served(world, "secureshell").await?, "secureshell is not served, while {what}");
    // And it stays so.
    ensure!(is_served(world, "shell").await? == served, "no longer: {what}");
    Ok(())
}

async fn by_manifests(scenario: &Scenario) -> anyhow::Result<()> {
    let world = world(scenario).await?;
    let folder = scenario.folder.file("manifests");
    std::fs::create_dir(&folder)?;
    let mut pods = std::fs::read_to_string(in_repository(PODS))?;
    for (pod, address) in ADDRESSES {
        // As a kubelet writes it: the tutorial's manifests have no addresses.
        let named = format!("name: {pod}\n");
        ensure!(pods.contains(&named), "{PODS} has no {pod}");
        pods = with_address(&pods, pod, address);
    }
    std::fs::write(folder.join("pods.yaml"), pods)?;
    let socket = scenario.folder.file("server.sock");
    let listen = format!("--listen=unix:{}", socket.display());
    let _server = GavelServer::of_manifests(&scenario.folder, &folder, &[&listen]).await?;
    let server = format!("unix:{}", socket.display());
    let node = GavelNode::start(&world, &scenario.folder, &[&server], &[]).await?;

    until_shell_is(&world, true).await?;
    let policy = folder.join("accept-secureshell.yaml");
    std::fs::copy(in_repository(ACCEPT_SECURESHELL), &policy)?;
    until_shell_is(&world, false).await?;
    says_why(&node).await?;
    std::fs::remove_file(&policy)?;
    until_shell_is(&world, true).await
}

/// The flow log has what was blocked, with the policy that blocks it.
async fn says_why(node: &GavelNode) -> anyhow::Result<()> {
    let line = r#""verdict":"deny","by":"#;
    let reason = "accept-secureshell isolates the destination for ingress, and no rule allows this";
    let is_told = |text: &String| {
        text.lines()
            .any(|one| one.contains(line) && one.contains(r#""source":"10.97.0.2""#) && one.contains(reason))
    };
    wait::until_is("the flow log says why", SOON, async || node.output(), is_told).await?;
    Ok(())
}

/// The documents with a status for one of the pods.
fn with_address(text: &str, pod: &str, address: &str) -> String {
    let documents = text.split("\n---\n").map(|document| {
        if document.contains(&format!("name: {pod}\n")) && document.contains("kind: Pod") {
            format!("{}\nstatus: {{phase: Running, podIP: {address}}}\n", document.trim_end())
        } else {
            document.to_owned()
        }
    });
    documents.collect::<Vec<_>>().join("\n---\n")
}

async fn by_an_api_server(scenario: &Scenario) -> anyhow::Result<()> {
    let world = world(scenario).await?;
    let plane = scenario.shared_plane().await?;
    let socket = scenario.folder.file("server.sock");
    let listen = format!("--listen=unix:{}", socket.display());
    let _server = GavelServer::start(&scenario.folder, &plane.kubeconfig(plane.address)?, &[&listen]).await?;
    let kubectl = async |verb: &str, file: &Path| {
        plane.kubectl.run(&["-n", NAMESPACE, verb, "-f", &file.to_string_lossy()]).await
    };
    kubectl("apply", &in_repository(PODS)).await?;
    for (pod, address) in ADDRESSES {
        let status = json!({"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]});
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}/status");
        plane.rest.merge(&path, &json!({"status": status})).await?;
    }
    let server = format!("unix:{}", socket.display());
    let node = GavelNode::start(&world, &scenario.folder, &[&server], &[]).await?;
    until_shell_is(&world, true).await?;
    kubectl("apply", &in_repository(ACCEPT_SECURESHELL)).await?;
    until_shell_is(&world, false).await?;
    says_why(&node).await?;
    kubectl("delete", &in_repository(ACCEPT_SECURESHELL)).await?;
    until_shell_is(&world, true).await
}
