//! gavel-node, as a user starts it, on the node of a world.

use std::time::Duration;

use anyhow::Context as _;

use super::folder::Folder;
use super::process::Process;
use super::server::program;
use super::wait;
use super::world::World;

const SOON: Duration = Duration::from_secs(30);
/// Where it serves metrics: nobody else is in that namespace.
const ADMIN: &str = "http://127.0.0.1:9474";

/// An agent. It ends with its owner; its rules end with the world.
pub(crate) struct GavelNode {
    process: Process,
}

impl GavelNode {
    /// Starts an agent, and does not wait for it. Its state is in the scenario's folder.
    pub(crate) fn spawn(
        world: &World,
        folder: &Folder,
        servers: &[&str],
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        let state = folder.file("state");
        let mut command = vec![program("gavel-node")?.to_string_lossy().into_owned()];
        command.extend(servers.iter().map(|server| format!("--server={server}")));
        command.push(format!("--state-dir={}", state.display()));
        command.extend(flags.iter().map(ToString::to_string));
        Ok(Self { process: world.start(folder, None, "gavel-node", &command)? })
    }

    /// Starts an agent, and waits until it enforces what a server told.
    pub(crate) async fn start(
        world: &World,
        folder: &Folder,
        servers: &[&str],
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        let mut node = Self::spawn(world, folder, servers, flags)?;
        node.until_ready(world).await?;
        Ok(node)
    }

    pub(crate) async fn until_ready(&mut self, world: &World) -> anyhow::Result<()> {
        wait::until("the agent is ready", SOON, async || {
            self.process.check()?;
            let ready = world.run(None, &["curl", "-sf", &format!("{ADMIN}/readyz")]).await;
            Ok(ready.is_ok().then_some(()))
        })
        .await
    }

    /// A metric's value, by the line it is on without the value: `name{label="x"}`.
    pub(crate) async fn metric(&self, world: &World, name: &str) -> anyhow::Result<f64> {
        let text = self.metrics(world).await?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.with_context(|| format!("no metric {name} in\n{text}"))?.parse().context("no number")
    }

    /// All of `/metrics`.
    pub(crate) async fn metrics(&self, world: &World) -> anyhow::Result<String> {
        world.run(None, &["curl", "-sf", &format!("{ADMIN}/metrics")]).await
    }

    /// What it has written: its log, and the flow log.
    pub(crate) fn output(&self) -> anyhow::Result<String> {
        self.process.output()
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
