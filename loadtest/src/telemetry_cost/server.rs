//! The servers that are compared.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::{Program, Target, TargetSettings};

/// A server that runs. Killed when dropped.
pub(super) struct Server {
    pub(super) target: Target,
    program: Program,
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
        let address =
            format!("unix:{}", folder.join("server.sock").with_extension(number.to_string()).display());
        let mut arguments = vec![
            format!("--manifests={}", manifests.display()),
            format!("--listen={address}"),
            "--admin-listen=127.0.0.1:0".to_owned(),
        ];
        arguments.extend_from_slice(flags);
        // The decision log and the log go to a file, as they do to a container's log.
        let mut program = Program::start(program, &arguments, &folder.join("servers.log"))?;
        let deadline = Duration::from_secs(5);
        let settings = TargetSettings { address, connections: 4, deadline, ..Default::default() };
        let target = program.target(&settings).await?;
        Ok(Self { target, program })
    }

    /// CPU time so far.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        self.program.cpu()
    }

    /// Tells the server to stop, and waits until it has.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        drop(self.target);
        self.program.stop_well().await
    }
}
