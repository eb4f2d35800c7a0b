//! What most scenarios of packets are about: web, which a policy isolates; friend, which it lets in; stranger, which it does
//! not; and open, which no policy isolates.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::kit::{Folder, GavelNode, GavelServer, Reach, Scenario, World, wait};

/// Names, and addresses of both families.
pub(super) const PODS: [(&str, [&str; 2]); 4] = [
    ("web", ["10.40.0.1", "fd40::1"]),
    ("friend", ["10.40.0.2", "fd40::2"]),
    ("stranger", ["10.40.0.3", "fd40::3"]),
    ("open", ["10.40.0.4", "fd40::4"]),
];
pub(super) const PORT: u16 = 8080;
const SERVICES: [&str; 4] = ["TCP:8080", "UDP:8080", "SCTP:8080", "TCP:8081"];
pub(super) const SOON: Duration = Duration::from_secs(30);
/// How long a connection that is not to come about is waited for, and one that is, in milliseconds.
const NOT: u32 = 400;
const LONG: u32 = 5000;

/// Friend reaches web on port 8080, by every protocol.
pub(super) const FRIENDS_ONLY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: friends-only, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: friend}}}]
    ports: [{port: 8080}, {port: 8080, protocol: UDP}, {port: 8080, protocol: SCTP}]
";

/// Of a pod that comes later, and is called late; only friend reaches it.
pub(super) const LATE_UID: &str = "01234567-89ab-cdef-0123-456789abcdef";
pub(super) const LATE_POLICY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: late, namespace: shop}
spec:
  podSelector: {matchLabels: {app: late}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: friend}}}]
";

/// The pods, as processes; their manifests; and a server that follows these.
pub(super) struct Shop {
    pub(super) world: World,
    pub(super) server: GavelServer,
    pub(super) manifests: PathBuf,
    /// Where the server listens.
    pub(super) address: String,
}

/// A pod's manifest.
pub(super) fn pod(name: &str, addresses: &[&str]) -> String {
    let ips: Vec<String> = addresses.iter().map(|ip| format!("{{ip: '{ip}'}}")).collect();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{app: {name}}}}}\n\
         spec: {{containers: [{{name: c, image: example/{name}}}]}}\n\
         status: {{phase: Running, podIPs: [{}]}}\n",
        ips.join(", ")
    )
}

impl Shop {
    pub(super) async fn open(scenario: &Scenario) -> anyhow::Result<Self> {
        let world = Self::world(&scenario.folder).await?;
        let manifests = scenario.folder.file("manifests");
        std::fs::create_dir(&manifests)?;
        let pods: Vec<String> = PODS.iter().map(|(name, addresses)| pod(name, addresses)).collect();
        std::fs::write(manifests.join("pods.yaml"), pods.join("---\n"))?;
        std::fs::write(manifests.join("policy.yaml"), FRIENDS_ONLY)?;
        let (server, address) = Self::another_server(scenario, &manifests).await?;
        Ok(Self { world, server, manifests, address })
    }

    /// The pods alone.
    pub(super) async fn world(folder: &Folder) -> anyhow::Result<World> {
        let mut world = World::new().await?;
        for (name, addresses) in PODS {
            world.add(name, &addresses).await?;
        }
        for name in ["web", "open"] {
            world.serve(folder, name, &SERVICES).await?;
        }
        Ok(world)
    }

    /// A server of the same manifests, and where it listens.
    pub(super) async fn another_server(
        scenario: &Scenario,
        manifests: &Path,
    ) -> anyhow::Result<(GavelServer, String)> {
        let socket = scenario.folder.file("server.sock");
        let listen = format!("--listen=unix:{}", socket.display());
        let server = GavelServer::of_manifests(&scenario.folder, manifests, &[&listen]).await?;
        Ok((server, format!("unix:{}", socket.display())))
    }

    /// An agent that asks the server.
    pub(super) async fn agent(&self, scenario: &Scenario, flags: &[&str]) -> anyhow::Result<GavelNode> {
        GavelNode::start(&self.world, &scenario.folder, &[&self.address], flags).await
    }

    /// Writes the policy.
    pub(super) fn set_policy(&self, text: &str) -> anyhow::Result<()> {
        std::fs::write(self.manifests.join("policy.yaml"), text)?;
        Ok(())
    }

    pub(super) async fn reaches(&self, from: &str, to: &str) -> anyhow::Result<bool> {
        self.reaches_by(from, to, "TCP", true).await
    }

    pub(super) async fn reaches_by(
        &self,
        from: &str,
        to: &str,
        protocol: &str,
        is_ipv4: bool,
    ) -> anyhow::Result<bool> {
        let to = self.world.address_of(to, is_ipv4)?;
        self.world.reaches_within(&Reach { from, protocol, to, port: PORT }, NOT).await
    }

    /// Holds what reaches what against what has to be.
    pub(super) async fn is(&self, when: &str, from: &str, to: &str, reached: bool) -> anyhow::Result<()> {
        let address = self.world.address_of(to, true)?;
        let within = if reached { LONG } else { NOT };
        let is = self
            .world
            .reaches_within(&Reach { from, protocol: "TCP", to: address, port: PORT }, within)
            .await?;
        ensure!(is == reached, "{when}: {from} reaches {to} is {is}");
        Ok(())
    }

    /// Waits until it is so.
    pub(super) async fn until(&self, when: &str, from: &str, to: &str, reached: bool) -> anyhow::Result<()> {
        let what = format!("{when}: {from} reaches {to} is {reached}");
        wait::until_is(&what, SOON, async || self.reaches(from, to).await, |is| *is == reached).await?;
        Ok(())
    }

    /// All is as policies say.
    pub(super) async fn is_enforced(&self, when: &str) -> anyhow::Result<()> {
        self.is(when, "friend", "web", true).await?;
        self.is(when, "stranger", "web", false).await?;
        self.is(when, "stranger", "open", true).await
    }

    /// Sends the server a signal: `-STOP`, `-CONT`.
    pub(super) async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let pid = self.server.pid()?.to_string();
        let told = tokio::process::Command::new("kill").args([signal, &pid]).status().await?;
        ensure!(told.success(), "the server cannot be sent {signal}");
        Ok(())
    }
}

/// A connection from friend to web that stays.
pub(super) struct Kept {
    child: tokio::process::Child,
    lines: tokio::io::Lines<tokio::io::BufReader<tokio::process::ChildStdout>>,
}

impl Kept {
    pub(super) async fn open(world: &World, from: &str, to: &str, is_ipv4: bool) -> anyhow::Result<Self> {
        Self::open_to(world, from, world.address_of(to, is_ipv4)?).await
    }

    pub(super) async fn open_to(world: &World, from: &str, to: IpAddr) -> anyhow::Result<Self> {
        use tokio::io::AsyncBufReadExt as _;
        let address = to.to_string();
        let command = crate::kit::in_a_pod(&["keep", &address, &PORT.to_string()])?;
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let mut child = world
            .command(Some(from), &command)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("no output")?;
        let mut lines = tokio::io::BufReader::new(output).lines();
        let line = tokio::time::timeout(SOON, lines.next_line()).await.context("no connection")??;
        ensure!(line.as_deref() == Some("connected"), "{from} does not connect to {to}: {line:?}");
        Ok(Self { child, lines })
    }

    /// Whether what is sent is answered.
    pub(super) async fn is_alive(&mut self) -> anyhow::Result<bool> {
        use tokio::io::AsyncWriteExt as _;
        let stdin = self.child.stdin.as_mut().context("no input")?;
        stdin.write_all(b"word\n").await?;
        let line = tokio::time::timeout(SOON, self.lines.next_line()).await.context("no word")??;
        match line.as_deref() {
            Some("alive") => Ok(true),
            Some("dead") => Ok(false),
            other => anyhow::bail!("the connection says {other:?}"),
        }
    }
}
