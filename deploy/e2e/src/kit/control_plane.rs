//! etcd, kube-apiserver and kube-controller-manager, on free ports.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::certificates::Certificates;
use super::folder::Folder;
use super::http::Http;
use super::kubectl::Kubectl;
use super::ports::free_port;
use super::process::{Process, Program};
use super::rest::Rest;
use super::wait;

/// How long a component may take to be ready: seconds on an idle machine.
const START: Duration = Duration::from_secs(90);
/// The administrator's token; the API server listens on the loopback interface alone.
const TOKEN: &str = "e2e-admin";
/// What pods need to come about, and nothing else.
const CONTROLLERS: &str =
    "deployment,replicaset,serviceaccount,namespace,garbagecollector,clusterrole-aggregation";

/// Which Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Current,
    /// The last one with PodSecurityPolicy, with its admission plugin switched on.
    V1_24,
}

impl Version {
    /// The binary that `deploy/e2e/run` built.
    fn binary(self) -> anyhow::Result<PathBuf> {
        let variable = match self {
            Version::Current => "GAVEL_E2E_KUBERNETES",
            Version::V1_24 => "GAVEL_E2E_KUBERNETES_1_24",
        };
        let path = std::env::var_os(variable);
        Ok(path
            .with_context(|| format!("{variable} is not set: run the scenarios with deploy/e2e/run"))?
            .into())
    }
}

/// A control plane. Its processes end with it.
pub(crate) struct ControlPlane {
    /// Where the API server listens.
    pub(crate) address: SocketAddr,
    /// As administrator.
    pub(crate) rest: Rest,
    /// As administrator.
    pub(crate) kubectl: Kubectl,
    folder: Arc<Folder>,
    certificates: Certificates,
    api_server: Process,
    /// None where another control plane's is used.
    etcd: Option<Process>,
    etcd_url: String,
    _controller_manager: Process,
    _data: TempDir,
}

impl ControlPlane {
    /// Starts all of it, and waits until it does its work.
    pub(crate) async fn start(folder: &Arc<Folder>) -> anyhow::Result<Self> {
        let data = TempDir::new()?;
        let (etcd, url) = start_etcd(data.path(), folder).await?;
        Self::start_on(Version::Current, Some(etcd), url, data, folder).await
    }

    /// Another control plane that keeps its objects in the same etcd, apart from the first one's.
    pub(crate) async fn start_beside(&self, version: Version, folder: &Arc<Folder>) -> anyhow::Result<Self> {
        Self::start_on(version, None, self.etcd_url.clone(), TempDir::new()?, folder).await
    }

    async fn start_on(
        version: Version,
        etcd: Option<Process>,
        etcd_url: String,
        data: TempDir,
        folder: &Arc<Folder>,
    ) -> anyhow::Result<Self> {
        let binary = version.binary()?;
        let certificates = Certificates::issue(folder)?;
        let address = free_port()?;
        let arguments = api_server_arguments(version, address, &etcd_url, &certificates, folder)?;
        let api_server = Process::start(Program::new(&binary, "kube-apiserver", arguments), folder)?;
        let url = format!("https://{address}");
        let rest = Rest::new(&url, &certificates.ca, TOKEN)?;
        let kubeconfig = write_kubeconfig(folder, &certificates.ca, address, TOKEN)?;
        let controllers = controller_manager_arguments(&kubeconfig);
        let mut plane = Self {
            address,
            rest,
            kubectl: Kubectl::new(&Version::Current.binary()?, &kubeconfig),
            folder: folder.clone(),
            certificates,
            api_server,
            etcd,
            etcd_url,
            _controller_manager: Process::start(
                Program::new(&binary, "kube-controller-manager", controllers),
                folder,
            )?,
            _data: data,
        };
        plane.until_ready().await?;
        plane.service_account("default").await?;
        Ok(plane)
    }

    /// A kubeconfig of the administrator, who finds the API server at this address.
    pub(crate) fn kubeconfig(&self, address: SocketAddr) -> anyhow::Result<PathBuf> {
        self.kubeconfig_of(address, TOKEN)
    }

    /// A kubeconfig of whoever has this token.
    pub(crate) fn kubeconfig_of(&self, address: SocketAddr, token: &str) -> anyhow::Result<PathBuf> {
        write_kubeconfig(&self.folder, &self.certificates.ca, address, token)
    }

    /// Kills the API server at once.
    pub(crate) fn kill_api_server(&mut self) -> anyhow::Result<()> {
        self.api_server.kill()
    }

    /// Starts the API server again, and waits until it is ready.
    pub(crate) async fn start_api_server(&mut self) -> anyhow::Result<()> {
        self.api_server.start_again()?;
        self.until_ready().await
    }

    /// Kills etcd at once, starts it again on the same data, and waits until the API server has found it.
    pub(crate) async fn restart_etcd(&mut self) -> anyhow::Result<()> {
        let etcd = self.etcd.as_mut().context("this control plane has no etcd of its own")?;
        etcd.start_again()?;
        etcd_ready(etcd, &self.etcd_url).await?;
        self.until_ready().await
    }

    /// Has etcd forget all changes up to this revision, which is a resourceVersion. Watches from before are then Gone.
    pub(crate) async fn compact(&self, revision: u64) -> anyhow::Result<()> {
        let request = json!({"revision": revision.to_string(), "physical": true}).to_string();
        let answer = Http::new(&self.etcd_url, None, None)?.post("/v3/kv/compaction", request).await?;
        ensure!(answer.status == 200, "etcd does not compact: {answer:?}");
        Ok(())
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let http = Http::new(&format!("https://{}", self.address), Some(&self.certificates.ca), Some(TOKEN))?;
        let api_server = &mut self.api_server;
        wait::until("the API server is ready", START, async || {
            api_server.check()?;
            Ok(http.get("/readyz").await.is_ok_and(|response| response.status == 200).then_some(()))
        })
        .await
    }

    /// Waits for a namespace's default service account, without which no pod can be created in it.
    pub(crate) async fn service_account(&self, namespace: &str) -> anyhow::Result<()> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        wait::until_is(
            "the default service account is there",
            START,
            async || self.rest.get(&path).await,
            |_| true,
        )
        .await?;
        Ok(())
    }
}

async fn start_etcd(data: &Path, folder: &Folder) -> anyhow::Result<(Process, String)> {
    let [client, peer] = [free_port()?, free_port()?].map(|address| format!("http://{address}"));
    let arguments = [
        "--name=e2e".to_owned(),
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=e2e={peer}"),
        // Killed processes lose nothing that the system has taken; only a machine that fails would.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    let mut etcd = Process::start(Program::new(&Version::Current.binary()?, "etcd", arguments), folder)?;
    etcd_ready(&mut etcd, &client).await?;
    Ok((etcd, client))
}

async fn etcd_ready(etcd: &mut Process, url: &str) -> anyhow::Result<()> {
    let http = Http::new(url, None, None)?;
    wait::until("etcd is healthy", START, async || {
        etcd.check()?;
        Ok(http.get("/health").await.is_ok_and(|response| response.status == 200).then_some(()))
    })
    .await
}

fn api_server_arguments(
    version: Version,
    address: SocketAddr,
    etcd: &str,
    certificates: &Certificates,
    folder: &Folder,
) -> anyhow::Result<Vec<OsString>> {
    let tokens = folder.write("tokens.csv", &format!("{TOKEN},e2e-admin,e2e-admin,system:masters\n"))?;
    let flag = |name: &str, path: &Path| -> OsString { format!("--{name}={}", path.display()).into() };
    let mut arguments = vec![
        format!("--etcd-servers={etcd}").into(),
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={}", address.port()).into(),
        // The default one would publish an address that is not a loopback one.
        "--endpoint-reconciler-type=none".into(),
        "--authorization-mode=RBAC".into(),
        "--service-cluster-ip-range=10.96.0.0/16".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        "--allow-privileged=true".into(),
        flag("token-auth-file", &tokens),
        flag("tls-cert-file", &certificates.certificate),
        flag("tls-private-key-file", &certificates.key),
        flag("service-account-key-file", &certificates.service_account_public_key),
        flag("service-account-signing-key-file", &certificates.service_account_key),
    ];
    if version == Version::V1_24 {
        arguments.push("--etcd-prefix=/kubernetes-1.24".into());
        arguments.push("--enable-admission-plugins=PodSecurityPolicy".into());
    }
    Ok(arguments)
}

fn controller_manager_arguments(kubeconfig: &Path) -> Vec<OsString> {
    vec![
        format!("--kubeconfig={}", kubeconfig.display()).into(),
        format!("--controllers={CONTROLLERS}").into(),
        // Pods are then created by system:serviceaccount:kube-system:replicaset-controller, as in real clusters.
        "--use-service-account-credentials=true".into(),
        "--leader-elect=false".into(),
        "--secure-port=0".into(),
        "--kube-api-qps=1000".into(),
        "--kube-api-burst=2000".into(),
    ]
}

/// JSON is YAML, too.
fn write_kubeconfig(folder: &Folder, ca: &Path, address: SocketAddr, token: &str) -> anyhow::Result<PathBuf> {
    let ca = base64::engine::general_purpose::STANDARD.encode(std::fs::read(ca)?);
    let config: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "e2e", "cluster": {
            "server": format!("https://{address}"),
            "certificate-authority-data": ca,
        }}],
        "users": [{"name": "e2e", "user": {"token": token}}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}],
        "current-context": "e2e",
    });
    folder.write("kubeconfig", &format!("{config:#}"))
}
