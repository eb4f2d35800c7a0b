//! The servers that are compared.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};

use crate::{Target, TargetSettings, process};

/// How long a server may take to be there.
const SOON: Duration = Duration::from_secs(30);
/// How long it may take to end.
const END: Duration = Duration::from_secs(20);

/// A server that runs. Killed when dropped.
pub(super) struct Server {
    pub(super) target: Target,
    child: Child,
}

/// Without telemetry, but for the metrics.
pub(super) fn off() -> Vec<String> {
    ["--decision-log=off", "--log=warn"].map(str::to_owned).to_vec()
}

/// With all of it.
pub(super) fn on(receiver: SocketAddr) -> Vec<String> {
    vec![
        format!("--otlp-endpoint=http://{receiver}"),
        "--trace-sample=0.01".to_owned(),
        "--decision-log=sampled".to_owned(),
        "--decision-log-sample=0.01".to_owned(),
        "--decision-log-to=stdout".to_owned(),
        "--log-format=json".to_owned(),
        "--log=info".to_owned(),
    ]
}

/// Pods, half of which are isolated and reach each other by a rule.
pub(super) fn manifests() -> String {
    let mut text = String::from(
        "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]
",
    );
    for number in 0..50 {
        let app = if number % 2 == 0 { "web" } else { "other" };
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "---
apiVersion: v1
kind: Pod
metadata: {{name: pod-{number}, namespace: shop, labels: {{app: {app}}}}}
spec: {{containers: [{{name: c, image: i, ports: [{{containerPort: 80}}]}}]}}
status: {{podIP: 10.0.0.{number}, phase: Running}}
"
        );
    }
    text
}

impl Server {
    pub(super) async fn start(
        program: &Path,
        manifests: &Path,
        flags: &[String],
        folder: &Path,
    ) -> anyhow::Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        // The cheapest transport there is: telemetry's share is at its largest.
        let socket =
            format!("unix:{}", folder.join("server.sock").with_extension(number.to_string()).display());
        let log = std::fs::File::options().create(true).append(true).open(folder.join("servers.log"))?;
        // The decision log and the log go to a file, as they do to a container's log.
        let mut child = Command::new(program)
            .arg("--manifests")
            .arg(manifests)
            .args([format!("--listen={socket}"), "--admin-listen=127.0.0.1:0".to_owned()])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let target = Self::connect(&mut child, socket, folder).await?;
        Ok(Self { target, child })
    }

    /// Waits until the server listens, or has ended.
    async fn connect(child: &mut Child, address: String, folder: &Path) -> anyhow::Result<Target> {
        let started = Instant::now();
        let settings = TargetSettings {
            address,
            connections: 4,
            deadline: Duration::from_secs(5),
            ..Default::default()
        };
        loop {
            match Target::connect(&settings).await {
                Ok(target) => return Ok(target),
                Err(error) => {
                    if let Some(status) = child.try_wait()? {
                        let log = std::fs::read_to_string(folder.join("servers.log")).unwrap_or_default();
                        let tail: Vec<&str> = log.lines().rev().take(5).collect();
                        bail!("the server ended ({status}): {}", tail.join(" / "));
                    }
                    if started.elapsed() > SOON {
                        return Err(error);
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// CPU time so far.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        process::cpu(self.child.id().context("the server has ended")?)
    }

    /// Tells the server to stop, and waits until it has.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let Self { target, mut child } = self;
        drop(target);
        process::terminate(child.id().context("the server has ended")?)?;
        match tokio::time::timeout(END, child.wait()).await {
            Ok(status) => anyhow::ensure!(status?.success(), "the server did not end well"),
            Err(_) => bail!("the server did not end within {END:?}"),
        }
        Ok(())
    }
}
