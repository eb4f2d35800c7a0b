//! A pod that a CNI chain starts, with `gavel-cni` at its end: by libcni's own tool, with the real agent.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::shop::{LATE_POLICY, LATE_UID, PORT, SOON, Shop, pod};
use crate::kit::{Reach, Scenario, World, wait};

/// What is built for it: see `deploy/e2e/run`.
const PROGRAMS: &str = "GAVEL_E2E_CNI";
const NETWORK: &str = "packets";

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let mut shop = Shop::open(scenario).await?;
    let socket = scenario.folder.file("node.sock");
    let chain = Chain::new(scenario, &socket)?;
    // Without the agent the chain starts no pod, and says so.
    let space = shop.world.add_space("late").await?;
    let said =
        chain.run(&shop.world, "status", &space).await.err().context("status is well without the agent")?;
    ensure!(format!("{said:#}").contains("is it running"), "{said:#}");
    ensure!(chain.run(&shop.world, "add", &space).await.is_err(), "a pod was added without the agent");
    chain.run(&shop.world, "del", &space).await?;

    let flag = format!("--cni-socket={}", socket.display());
    let node = shop.agent(scenario, &[&flag]).await?;
    std::fs::write(shop.manifests.join("late-policy.yaml"), LATE_POLICY)?;
    chain.run(&shop.world, "status", &space).await?;
    let result: Value = serde_json::from_str(&chain.run(&shop.world, "add", &space).await?)?;
    let address = result["ips"][0]["address"].as_str().and_then(|text| text.split('/').next());
    let address = address.with_context(|| format!("no address in {result}"))?.to_owned();
    shop.world.has("late", &address)?;
    shop.world.serve(&scenario.folder, "late", &["TCP:8080"]).await?;
    chain.run(&shop.world, "check", &space).await?;

    // It runs, and the server does not know it: nothing passes, in any direction.
    for (from, to) in [("friend", "late"), ("stranger", "late"), ("late", "open"), ("late", "web")] {
        shop.is("before it is known", from, to, false).await?;
    }
    ensure!(node.metric(&shop.world, "gavel_node_held_pods").await? == 1.0, "it is not counted as held");
    // A connection that is tried all the while comes about once the pod is known, and not before.
    let known = pod("late", &[&address]).replace("{name: late,", &format!("{{name: late, uid: {LATE_UID},"));
    std::fs::write(shop.manifests.join("late.yaml"), known)?;
    let to = address.parse()?;
    let reach = Reach { from: "friend", protocol: "TCP", to, port: PORT };
    wait::until("friend reaches late", SOON, async || {
        Ok(shop.world.reaches_within(&reach, 400).await?.then_some(()))
    })
    .await?;
    for (from, to, reached) in [("stranger", "late", false), ("late", "open", true), ("late", "web", false)] {
        shop.is("once it is known", from, to, reached).await?;
    }
    chain.run(&shop.world, "check", &space).await?;
    chain.run(&shop.world, "del", &space).await?;
    ensure!(chain.run(&shop.world, "check", &space).await.is_err(), "a pod that is gone is well");
    // cnitool's GC is of a runtime that knows no attachment any more: all of them go, at the agent, too.
    chain.run(&shop.world, "add", &space).await?;
    chain.run(&shop.world, "gc", &space).await?;
    ensure!(chain.run(&shop.world, "check", &space).await.is_err(), "GC left a pod");
    chain.run(&shop.world, "del", &space).await.map(drop)
}

/// ptp, which makes a link and has host-local give an address, and gavel-cni.
struct Chain {
    programs: PathBuf,
    folder: PathBuf,
}

impl Chain {
    fn new(scenario: &Scenario, socket: &std::path::Path) -> anyhow::Result<Self> {
        let programs =
            std::env::var(PROGRAMS).with_context(|| format!("{PROGRAMS}: run it by deploy/e2e/run"))?;
        let folder = scenario.folder.file("net.d");
        std::fs::create_dir(&folder)?;
        let addresses = scenario.folder.file("addresses");
        let config = json!({"cniVersion": "1.1.0", "name": NETWORK, "plugins": [
            {"type": "ptp", "ipam": {"type": "host-local", "subnet": "10.41.0.0/24", "dataDir": addresses,
                "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "gavel-cni", "socket": socket, "timeoutSeconds": 5},
        ]});
        std::fs::write(folder.join("10-packets.conflist"), config.to_string())?;
        Ok(Self { programs: programs.into(), folder })
    }

    /// Runs a command of the chain for the pod in this namespace, as the node's runtime would.
    async fn run(&self, world: &World, command: &str, space: &str) -> anyhow::Result<String> {
        let tool = self.programs.join("cnitool");
        let path = format!("/run/netns/{space}");
        let mut run = world.command(None, &[&tool.to_string_lossy(), command, NETWORK, &path]);
        let arguments =
            format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=late;K8S_POD_UID={LATE_UID}");
        run.env("CNI_PATH", &self.programs).env("NETCONFPATH", &self.folder).env("CNI_ARGS", arguments);
        let output = run.output().await?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "cnitool {command}: {out}{err}");
        Ok(out.into_owned())
    }
}
