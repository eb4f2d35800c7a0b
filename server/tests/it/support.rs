//! A server for one test, and the manifests it reads.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gavel_proto::v1 as pb;
use gavel_proto::v1::policy_decision_client::PolicyDecisionClient;
use gavel_server::{Config, Running, start};
use tempfile::TempDir;
use tonic::transport::Channel;

/// One policy that isolates `web`, and lets `friend` in on 80.
pub(crate) const FLOWS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.1, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: friend, namespace: shop, labels: {app: friend}}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.2, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: shop}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.3, phase: Running}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: friend}}}]
    ports: [{port: 80}]
"#;

/// One PodSecurityPolicy, and a service account that may use it.
pub(crate) const ADMISSION: &str = r#"
apiVersion: policy/v1beta1
kind: PodSecurityPolicy
metadata: {name: nonroot}
spec:
  seLinux: {rule: RunAsAny}
  supplementalGroups: {rule: RunAsAny}
  fsGroup: {rule: RunAsAny}
  runAsUser: {rule: MustRunAsNonRoot}
  volumes: ['*']
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: builder, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: use-nonroot}
rules:
- {apiGroups: [policy], resources: [podsecuritypolicies], resourceNames: [nonroot], verbs: [use]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: use-nonroot}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: use-nonroot}
subjects: [{kind: ServiceAccount, name: builder, namespace: shop}]
"#;

/// A running server and its folder; the folder is removed with it.
pub(crate) struct Server {
    pub(crate) running: Running,
    folder: TempDir,
}

impl Server {
    /// Starts a server on these files and waits until it answers.
    pub(crate) async fn start(files: &[(&str, &str)]) -> Self {
        Self::start_with(files, |_| {}).await
    }

    /// The same, with other settings.
    pub(crate) async fn start_with(files: &[(&str, &str)], change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let mut config = Config::local(vec![folder.path().to_owned()]);
        change(&mut config);
        let mut running = start(config).await.unwrap();
        tokio::time::timeout(Duration::from_secs(30), running.ready()).await.unwrap().unwrap();
        Self { running, folder }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).unwrap();
    }

    pub(crate) async fn client(&self) -> PolicyDecisionClient<Channel> {
        PolicyDecisionClient::connect(format!("http://{}", self.running.listening[0])).await.unwrap()
    }

    /// Waits until `GetSnapshot` satisfies `wanted`.
    pub(crate) async fn snapshot(
        &self,
        wanted: impl Fn(&pb::GetSnapshotResponse) -> bool,
    ) -> pb::GetSnapshotResponse {
        let mut client = self.client().await;
        for _ in 0..300 {
            let snapshot = client.get_snapshot(pb::GetSnapshotRequest::default()).await.unwrap().into_inner();
            if wanted(&snapshot) {
                return snapshot;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "the snapshot never became as wanted: {:?}",
            client.get_snapshot(pb::GetSnapshotRequest::default()).await
        );
    }

    pub(crate) async fn metrics(&self) -> String {
        get(self.running.admin, "/metrics").await.1
    }

    /// The server and its folder, for a test that stops it in its own way.
    pub(crate) fn into_parts(self) -> (Running, TempDir) {
        (self.running, self.folder)
    }

    pub(crate) async fn stop(self) {
        self.running.shutdown().await.unwrap();
    }
}

/// A flow between two pods of namespace `shop`.
pub(crate) fn flow(from: &str, to: &str, port: u32) -> pb::CheckFlowRequest {
    let pod = |name: &str| {
        let pod = pb::PodRef { namespace: "shop".into(), name: name.into(), ip: String::new() };
        Some(pb::End { end: Some(pb::end::End::Pod(pod)) })
    };
    pb::CheckFlowRequest { source: pod(from), destination: pod(to), port, ..Default::default() }
}

/// A pod of `builder` in `shop`, created by its ReplicaSet.
pub(crate) fn admission(object: &str) -> pb::AdmitRequest {
    pb::AdmitRequest {
        uid: "u1".into(),
        operation: pb::Operation::Create.into(),
        namespace: "shop".into(),
        user: Some(pb::UserInfo {
            username: "system:serviceaccount:kube-system:replicaset-controller".into(),
            ..Default::default()
        }),
        object: object.to_owned().into(),
        ..Default::default()
    }
}

pub(crate) const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"web-","namespace":"shop"},
    "spec":{"serviceAccountName":"builder","containers":[{"name":"c","image":"i"}]}}"#;

/// A GET over plain HTTP/1.1: status and body.
pub(crate) async fn get(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: gavel\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

/// Where the built server is.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_gavel-server"))
}
