//! gavel-server, as a user starts it, and the questions that scenarios ask it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use gavel_proto::v1;
use gavel_proto::v1::policy_decision_client::PolicyDecisionClient;
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::folder::Folder;
use super::http::{Http, Response};
use super::ports::free_port;
use super::process::{Process, Program};
use super::rest::resource_version;
use super::wait;

/// How long a server may take to be ready, or to catch up: a second on an idle machine.
const SOON: Duration = Duration::from_secs(60);
/// How long a call may take, waiting for a fresh snapshot included.
const DEADLINE: Duration = Duration::from_secs(20);

/// A program of ours, built beside this one.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let folder = std::env::current_exe()?;
    let path = folder.parent().context("this program is in no folder")?.join(name);
    anyhow::ensure!(path.is_file(), "{} is not there: run the scenarios with deploy/e2e/run", path.display());
    Ok(path)
}

/// A server. It ends with its owner.
pub(crate) struct GavelServer {
    /// Where it serves gRPC.
    pub(crate) address: SocketAddr,
    /// Where it serves metrics and probes.
    pub(crate) admin_address: SocketAddr,
    process: Process,
    admin: Http,
    client: PolicyDecisionClient<Channel>,
}

impl GavelServer {
    /// Starts a server that follows a cluster, and does not wait for it.
    pub(crate) fn spawn(folder: &Folder, kubeconfig: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let source = ["--cluster".to_owned(), format!("--kubeconfig={}", kubeconfig.display())];
        Self::spawn_with(folder, source.into(), flags)
    }

    /// Starts a server that follows manifests, and waits until it is ready.
    pub(crate) async fn of_manifests(
        folder: &Folder,
        manifests: &Path,
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        let source = vec![format!("--manifests={}", manifests.display())];
        let mut server = Self::spawn_with(folder, source, flags)?;
        server.until_ready().await?;
        Ok(server)
    }

    fn spawn_with(folder: &Folder, mut arguments: Vec<String>, flags: &[&str]) -> anyhow::Result<Self> {
        let (address, admin) = (free_port()?, free_port()?);
        arguments.extend([format!("--listen={address}"), format!("--admin-listen={admin}")]);
        arguments.extend(flags.iter().map(ToString::to_string));
        let process =
            Process::start(Program::new(&program("gavel-server")?, "gavel-server", arguments), folder)?;
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
        Ok(Self {
            address,
            process,
            admin: Http::new(&format!("http://{admin}"), None, None)?,
            admin_address: admin,
            client: PolicyDecisionClient::new(channel).max_decoding_message_size(64 << 20),
        })
    }

    /// Starts a server that follows a cluster, and waits until it is ready.
    pub(crate) async fn start(folder: &Folder, kubeconfig: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let mut server = Self::spawn(folder, kubeconfig, flags)?;
        server.until_ready().await?;
        Ok(server)
    }

    /// Waits until it is ready.
    pub(crate) async fn until_ready(&mut self) -> anyhow::Result<()> {
        self.process.check()?;
        self.until_readiness("the server is ready", SOON, |ready| ready.status == 200).await?;
        Ok(())
    }

    /// Waits until `/readyz` answers so.
    pub(crate) async fn until_readiness(
        &self,
        what: &str,
        within: Duration,
        right: impl Fn(&Response) -> bool,
    ) -> anyhow::Result<Response> {
        wait::until_is(what, within, async || self.readiness().await, right).await
    }

    pub(crate) async fn readiness(&self) -> anyhow::Result<Response> {
        self.admin.get("/readyz").await
    }

    /// A metric's values, by the line they are on without the value: `name{label="x"}`.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<Vec<(String, f64)>> {
        let text = self.admin.get("/metrics").await?.body;
        let named = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let split = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(text.lines().filter(named).filter_map(split).collect())
    }

    /// All of `/metrics`.
    pub(crate) async fn metrics(&self) -> anyhow::Result<String> {
        Ok(self.admin.get("/metrics").await?.body)
    }

    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Tells it to stop (SIGTERM).
    pub(crate) fn tell_to_stop(&self) -> anyhow::Result<()> {
        self.process.tell_to_stop()
    }

    /// Waits until it has stopped, for a minute at most.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        self.process.ended().await
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.process.pid()
    }

    /// Starts it again, with the same flags and ports, and does not wait for it.
    pub(crate) fn start_again(&mut self) -> anyhow::Result<()> {
        self.process.start_again()
    }

    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        self.process.memory()
    }

    pub(crate) async fn admit(&self, request: v1::AdmitRequest) -> Result<v1::AdmitResponse, Status> {
        self.client.clone().admit(with_deadline(request)).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn check_flow(
        &self,
        request: v1::CheckFlowRequest,
    ) -> Result<v1::CheckFlowResponse, Status> {
        self.client.clone().check_flow(with_deadline(request)).await.map(tonic::Response::into_inner)
    }

    /// An admission, asked by somebody who does not wait for longer than this.
    pub(crate) async fn admit_within(
        &self,
        request: v1::AdmitRequest,
        deadline: Duration,
    ) -> Result<v1::AdmitResponse, Status> {
        let mut request = Request::new(request);
        request.set_timeout(deadline);
        self.client.clone().admit(request).await.map(tonic::Response::into_inner)
    }

    /// What answers are made from now.
    pub(crate) async fn snapshot(&self) -> anyhow::Result<v1::GetSnapshotResponse> {
        self.snapshot_with(None).await
    }

    /// Waits until the snapshot holds what was written to this kind under this resourceVersion.
    pub(crate) async fn holds(
        &self,
        kind: &str,
        resource_version: &str,
    ) -> anyhow::Result<v1::GetSnapshotResponse> {
        self.snapshot_with(Some(at_least(kind, resource_version)))
            .await
            .with_context(|| format!("waiting for {kind} {resource_version}"))
    }

    /// Waits until the snapshot holds the object as the API server returned it.
    pub(crate) async fn holds_object(&self, kind: &str, object: &Value) -> anyhow::Result<()> {
        self.holds(kind, &resource_version(object)?).await?;
        Ok(())
    }

    async fn snapshot_with(
        &self,
        consistency: Option<v1::Consistency>,
    ) -> anyhow::Result<v1::GetSnapshotResponse> {
        let request = with_deadline(v1::GetSnapshotRequest { consistency });
        Ok(self.client.clone().get_snapshot(request).await?.into_inner())
    }

    /// The state of one source: `cluster/Pod`, for instance.
    pub(crate) async fn source(&self, name: &str) -> anyhow::Result<v1::SourceStatus> {
        let snapshot = self.snapshot().await?;
        let names: Vec<String> = snapshot.sources.iter().map(|source| source.name.clone()).collect();
        let source = snapshot.sources.into_iter().find(|source| source.name == name);
        source.with_context(|| format!("there is no source {name}; there are {names:?}"))
    }

    /// The revisions from now on.
    pub(crate) async fn watch(&self) -> Result<tonic::Streaming<v1::SnapshotRevision>, Status> {
        let request = Request::new(v1::WatchSnapshotRequest {});
        self.client.clone().watch_snapshot(request).await.map(tonic::Response::into_inner)
    }
}

fn with_deadline<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// Asks for a snapshot that holds what was written under this resourceVersion.
pub(crate) fn at_least(kind: &str, resource_version: &str) -> v1::Consistency {
    v1::Consistency {
        resource_version: resource_version.to_owned(),
        kind: kind.to_owned(),
        ..Default::default()
    }
}

/// Seconds of a duration on the wire; nothing where there is none.
pub(crate) fn seconds(duration: Option<&pbjson_types::Duration>) -> Option<f64> {
    duration.map(|duration| {
        // Staleness is minutes at most: an f64 holds it exactly enough.
        #[expect(clippy::cast_precision_loss, reason = "seconds of a test")]
        let whole = duration.seconds as f64;
        whole + f64::from(duration.nanos) / 1e9
    })
}
