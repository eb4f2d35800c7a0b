//! How long until a write is used in decisions, and how much memory a watched pod takes. Printed; only what would be
//! absurd fails.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use crate::kit::{ControlPlane, GavelServer, NumberedPolicy, Scenario, objects};

const WRITES: u32 = 300;
const FEW: usize = 500;
/// Unless `GAVEL_E2E_PODS` says otherwise.
const MANY: usize = 5500;

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let plane = scenario.own_plane().await?;
    let kubeconfig = plane.kubeconfig(plane.address)?;
    freshness(scenario, &plane, &kubeconfig).await?;

    let many = match std::env::var("GAVEL_E2E_PODS") {
        Ok(count) => count.parse().context("GAVEL_E2E_PODS")?,
        Err(_) => MANY,
    };
    ensure!(many > FEW, "{many} pods: at least {FEW} are compared with");
    create_pods(&plane, scenario.name, 0..FEW).await?;
    let few = memory(scenario, &kubeconfig, FEW).await?;
    create_pods(&plane, scenario.name, FEW..many).await?;
    let with_many = memory(scenario, &kubeconfig, many).await?;
    for ((how, few), (_, more)) in few.iter().zip(&with_many) {
        let a_pod = more.saturating_sub(*few) / u64::try_from(many - FEW)?;
        println!(
            "figures: {how}: {} KiB with {FEW} pods, {} KiB with {many}: {a_pod} bytes a pod",
            few / 1024,
            more / 1024
        );
        ensure!(a_pod < 20_000, "{a_pod} bytes a pod");
    }
    Ok(())
}

/// From before a write, and from its answer, to a decision that knows of it.
async fn freshness(scenario: &Scenario, plane: &ControlPlane, kubeconfig: &Path) -> anyhow::Result<()> {
    let server = GavelServer::start(&scenario.folder, kubeconfig, &[]).await?;
    let policy = NumberedPolicy::create(plane, scenario.name, 1).await?;
    let (mut whole, mut after) = (Vec::new(), Vec::new());
    for number in 2..WRITES + 2 {
        let start = Instant::now();
        let written = policy.set(plane, number).await?;
        let answered = Instant::now();
        ensure!(
            policy.ask_after(&server, &written).await? == number,
            "an answer that does not know the write"
        );
        whole.push(start.elapsed());
        after.push(answered.elapsed());
    }
    for (what, times) in [("write to decision", &mut whole), ("the write's answer to decision", &mut after)] {
        times.sort();
        let [p50, p99] = [times.len() / 2, times.len() * 99 / 100].map(|index| times[index]);
        println!("figures: {what}, {WRITES} writes: p50 {p50:.1?}, p99 {p99:.1?}");
        ensure!(p50 < Duration::from_secs(1), "{what}: {p50:?}");
    }
    Ok(())
}

/// Pods as Deployments make them, with what API servers keep of field managers.
async fn create_pods(
    plane: &ControlPlane,
    namespace: &str,
    range: std::ops::Range<usize>,
) -> anyhow::Result<()> {
    let create = |index: usize| {
        let rest = plane.rest.clone();
        let pod = pod(namespace, index);
        async move { rest.create(&pod).await.map(|_| ()) }
    };
    stream::iter(range.map(create)).buffer_unordered(8).try_collect::<Vec<()>>().await?;
    Ok(())
}

fn pod(namespace: &str, index: usize) -> Value {
    let mut pod = objects::pod(
        namespace,
        &format!("web-{index:05}"),
        json!({"containers": [{
            "name": "web", "image": "registry.example/shop/web:1.2.3",
            "ports": [{"name": "http", "containerPort": 8080}],
            "env": [{"name": "A", "value": "x".repeat(100)}, {"name": "B", "value": "y".repeat(100)}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
        }]}),
    );
    pod["metadata"]["labels"] = json!({"app": "web", "pod-template-hash": "5d8f6c7b9", "tier": "front"});
    pod
}

/// Resident memory of a server that has just read this cluster, by streaming lists and by pages.
async fn memory(
    scenario: &Scenario,
    kubeconfig: &Path,
    pods: usize,
) -> anyhow::Result<Vec<(&'static str, u64)>> {
    let mut figures = Vec::new();
    for (how, flag) in
        [("streaming list", "--streaming-lists=true"), ("list by pages", "--streaming-lists=false")]
    {
        let start = Instant::now();
        let server = GavelServer::start(&scenario.folder, kubeconfig, &[flag]).await?;
        let read = start.elapsed();
        let known = server.snapshot().await?.objects.get("Pod").copied().unwrap_or_default();
        ensure!(known == u64::try_from(pods)?, "{known} pods, not {pods}");
        println!("figures: {how}: ready {read:.1?} after its start with {pods} pods");
        figures.push((how, server.memory()?));
    }
    Ok(figures)
}
