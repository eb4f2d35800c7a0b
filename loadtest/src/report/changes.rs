//! As much of an API server as it takes to have a server watch changes at a rate: lists by streaming, and watches that
//! do not end. What a real one does is tried in `deploy/e2e`.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_stream::wrappers::BroadcastStream;

use super::world::World;

/// Changes that may wait for a watch. One that falls behind further is ended, and with it the measurement.
const WAITING: usize = 1 << 16;
/// Pods that have come and not gone yet.
const EXTRA: u64 = 500;

/// Paths end with the plural of a kind.
const PLURALS: [(&str, &str); 9] = [
    ("Namespace", "namespaces"),
    ("Pod", "pods"),
    ("ServiceAccount", "serviceaccounts"),
    ("NetworkPolicy", "networkpolicies"),
    ("PodSecurityPolicy", "podsecuritypolicies"),
    ("Role", "roles"),
    ("ClusterRole", "clusterroles"),
    ("RoleBinding", "rolebindings"),
    ("ClusterRoleBinding", "clusterrolebindings"),
];

/// What is watched.
struct Watched {
    /// Lines of the first list, by plural.
    listed: BTreeMap<&'static str, Vec<Bytes>>,
    /// Lines that follow.
    changes: BTreeMap<&'static str, broadcast::Sender<Bytes>>,
}

/// The API server. It ends with its owner.
pub(super) struct Changes {
    pub(super) kubeconfig: PathBuf,
    watched: Arc<Watched>,
    pods: Vec<Value>,
    policies: Vec<Value>,
    number: u64,
    _serving: JoinSet<()>,
}

impl Changes {
    /// Serves the objects of a cluster.
    pub(super) async fn start(world: &World, folder: &Path) -> anyhow::Result<Self> {
        let mut watched = Watched {
            listed: PLURALS.iter().map(|(_, plural)| (*plural, Vec::new())).collect(),
            changes: PLURALS.iter().map(|(_, plural)| (*plural, broadcast::Sender::new(WAITING))).collect(),
        };
        let (mut pods, mut policies) = (Vec::new(), Vec::new());
        for mut object in world.cluster.objects() {
            let plural = PLURALS.iter().find(|(kind, _)| object["kind"] == *kind);
            let Some((_, plural)) = plural else { continue };
            object["metadata"]["resourceVersion"] = "1".into();
            if let Some(listed) = watched.listed.get_mut(plural) {
                listed.push(line("ADDED", &object));
            }
            match *plural {
                "pods" => pods.push(object),
                "networkpolicies" => policies.push(object),
                _ => {}
            }
        }
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let kubeconfig = folder.join("kubeconfig");
        std::fs::write(&kubeconfig, config(listener.local_addr()?))?;
        let watched = Arc::new(watched);
        let router = Router::new().fallback(answer).with_state(watched.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { kubeconfig, watched, pods, policies, number: 0, _serving: serving })
    }

    /// The next change: of four, two are policies whose rules change, one is a pod that comes, one a pod that goes.
    pub(super) fn next(&mut self) {
        let (number, round) = (self.number, self.number / 4);
        self.number += 1;
        match number % 4 {
            0 | 2 => {
                let index = index(number / 2, self.policies.len());
                let Some(policy) = self.policies.get_mut(index) else { return };
                // A rule that is another one each time, beside those that were there.
                let extra = json!({"ports": [{"protocol": "TCP", "port": 20_000 + number % 10_000}]});
                match policy["spec"]["ingress"].as_array_mut() {
                    Some(rules) => {
                        rules.retain(|rule| rule.get("from").is_some());
                        rules.push(extra);
                    }
                    None => policy["spec"]["ingress"] = json!([extra]),
                }
                policy["metadata"]["resourceVersion"] = (number + 2).to_string().into();
                self.send("networkpolicies", line("MODIFIED", &self.policies[index]));
            }
            1 => self.send("pods", line("ADDED", &self.extra(round))),
            _ => {
                if let Some(gone) = round.checked_sub(EXTRA) {
                    self.send("pods", line("DELETED", &self.extra(gone)));
                }
            }
        }
    }

    /// Whether the last change was a pod that came.
    pub(super) fn is_pod_latest(&self) -> bool {
        self.number % 4 == 2
    }

    /// Namespace and name of the pod that came last.
    pub(super) fn latest(&self) -> Option<(String, String)> {
        let pod = self.extra(self.number.checked_sub(2)? / 4);
        let text = |pointer| pod.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Some((text("/metadata/namespace")?, text("/metadata/name")?))
    }

    /// A pod like one of the cluster's, with a name and an address of its own.
    fn extra(&self, number: u64) -> Value {
        let mut pod = self.pods[index(number, self.pods.len())].clone();
        let address = Ipv4Addr::from_bits(0x6440_0000 + u32::try_from(number % 0x003F_0000).unwrap_or(0));
        pod["metadata"]["name"] = format!("extra-{number}").into();
        pod["metadata"]["uid"] = format!("extra-{number}").into();
        pod["metadata"]["resourceVersion"] = (self.number + 2).to_string().into();
        pod["status"]["podIP"] = address.to_string().into();
        pod["status"]["podIPs"] = json!([{"ip": address.to_string()}]);
        pod
    }

    fn send(&self, plural: &str, line: Bytes) {
        if let Some(changes) = self.watched.changes.get(plural) {
            // Nobody watches yet, or any more.
            let _ = changes.send(line);
        }
    }
}

fn index(number: u64, count: usize) -> usize {
    usize::try_from(number).unwrap_or(0) % count.max(1)
}

fn config(address: SocketAddr) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "c", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    })
    .to_string()
}

fn line(kind: &str, object: &Value) -> Bytes {
    format!("{}\n", json!({"type": kind, "object": object})).into()
}

async fn answer(
    State(watched): State<Arc<Watched>>,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    if last == "version" {
        return json!({"major": "1", "minor": "37"}).to_string().into_response();
    }
    let (Some(listed), Some(changes)) = (watched.listed.get(last), watched.changes.get(last)) else {
        let resources = PLURALS.map(|(_, plural)| json!({"name": plural}));
        return json!({"resources": resources}).to_string().into_response();
    };
    if !query.contains_key("watch") {
        return StatusCode::NOT_IMPLEMENTED.into_response();
    }
    let follow = BroadcastStream::new(changes.subscribe())
        .take_while(|line| std::future::ready(line.is_ok()))
        .filter_map(|line| std::future::ready(line.ok()));
    let mut first = Vec::new();
    if query.contains_key("sendInitialEvents") {
        first.clone_from(listed);
        let metadata = json!({"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}});
        first.push(line("BOOKMARK", &json!({"metadata": metadata})));
    }
    Body::from_stream(stream::iter(first).chain(follow).map(Ok::<_, Infallible>)).into_response()
}
