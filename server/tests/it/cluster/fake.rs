//! As much of an API server as watches need: lists by pages and by streaming, watches with bookmarks, and the ways in
//! which these fail. What a real one does is tried in `deploy/e2e`.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Well,
    /// Every request is refused.
    Down,
    /// Requests are taken, and nothing is ever answered; watches go silent.
    Silent,
}

#[derive(Debug)]
struct Event {
    version: u64,
    plural: String,
    kind: &'static str,
    object: Value,
}

#[derive(Debug)]
struct Cluster {
    mode: Mode,
    version: u64,
    /// By plural, then by `namespace/name`.
    objects: BTreeMap<String, BTreeMap<String, Value>>,
    events: Vec<Event>,
    /// Changes up to here are forgotten: watches that begin before are answered 410.
    forgotten: u64,
    has_crd: bool,
    /// Whether it refuses streaming lists, as one does that has them switched off.
    refuses_streaming: bool,
    page: usize,
    /// Requests by what they were.
    requests: HashMap<&'static str, usize>,
}

/// A fake API server on a free port; it ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Fake {
    cluster: Arc<Mutex<Cluster>>,
    changed: watch::Sender<u64>,
    address: SocketAddr,
    folder: Arc<TempDir>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let cluster = Cluster {
            mode: Mode::Well,
            version: 100,
            objects: BTreeMap::new(),
            events: Vec::new(),
            forgotten: 0,
            has_crd: true,
            refuses_streaming: false,
            page: usize::MAX,
            requests: HashMap::new(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            cluster: Arc::new(Mutex::new(cluster)),
            changed: watch::Sender::new(0),
            address: listener.local_addr().unwrap(),
            folder: Arc::new(tempfile::tempdir().unwrap()),
        };
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        fake
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        let path = self.folder.path().join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: 'http://{}'}}}}]\n\
             users: [{{name: c, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: c}}}}]\n",
            self.address
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap()
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.cluster().mode = mode;
        self.wake();
    }

    pub(crate) fn set_crd(&self, has_crd: bool) {
        self.cluster().has_crd = has_crd;
        self.wake();
    }

    pub(crate) fn refuse_streaming(&self, page: usize) {
        let mut cluster = self.cluster();
        cluster.refuses_streaming = true;
        cluster.page = page;
    }

    /// Forgets all changes so far, and breaks the watches.
    pub(crate) fn forget(&self) {
        let mut cluster = self.cluster();
        cluster.version += 1;
        cluster.forgotten = cluster.version;
        drop(cluster);
        self.wake();
    }

    pub(crate) fn requests(&self, what: &'static str) -> usize {
        self.cluster().requests.get(what).copied().unwrap_or_default()
    }

    /// Writes an object and tells its resourceVersion.
    pub(crate) fn write(&self, plural: &str, yaml: &str) -> u64 {
        let mut object: Value = serde_saphyr::from_str(yaml).unwrap();
        let mut cluster = self.cluster();
        cluster.version += 1;
        let version = cluster.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let name = format!("{}/{}", object["metadata"]["namespace"], object["metadata"]["name"]);
        let before = cluster.objects.entry(plural.to_owned()).or_default().insert(name, object.clone());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        cluster.events.push(Event { version, plural: plural.to_owned(), kind, object });
        drop(cluster);
        self.wake();
        version
    }

    pub(crate) fn remove(&self, plural: &str, namespace: &str, name: &str) -> u64 {
        let mut cluster = self.cluster();
        cluster.version += 1;
        let version = cluster.version;
        let key =
            format!("{}/{}", if namespace.is_empty() { Value::Null } else { json!(namespace) }, json!(name));
        let mut object = cluster.objects.get_mut(plural).unwrap().remove(&key).unwrap();
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        cluster.events.push(Event { version, plural: plural.to_owned(), kind: "DELETED", object });
        drop(cluster);
        self.wake();
        version
    }

    fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

fn status(code: u16, message: &str) -> Response {
    let status = json!({"kind": "Status", "code": code, "message": message});
    (StatusCode::from_u16(code).unwrap(), status.to_string()).into_response()
}

async fn answer(
    State(fake): State<Fake>,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    loop {
        let mode = fake.cluster().mode;
        match mode {
            Mode::Well => break,
            Mode::Down => return status(503, "the fake is down"),
            Mode::Silent => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    let path = uri.path();
    if path == "/version" {
        return json!({"major": "1", "minor": "37"}).to_string().into_response();
    }
    let has_crd = fake.cluster().has_crd;
    if path == "/apis/policy.gavel.dev/v1" && has_crd {
        return json!({"resources": [{"name": "podsecuritypolicies"}]}).to_string().into_response();
    }
    let plural = path.rsplit('/').next().unwrap().to_owned();
    if path.starts_with("/apis/policy") && !(has_crd && path.contains("gavel.dev/v1/")) {
        return status(404, "the server could not find the requested resource");
    }
    if query.contains_key("watch") {
        watch_objects(fake, plural, &query)
    } else {
        list(&fake, &plural, &query)
    }
}

fn list(fake: &Fake, plural: &str, query: &HashMap<String, String>) -> Response {
    let mut cluster = fake.cluster();
    *cluster.requests.entry("page").or_default() += 1;
    let from: usize = query.get("continue").map_or(0, |token| token.parse().unwrap());
    let all: Vec<Value> =
        cluster.objects.get(plural).into_iter().flat_map(BTreeMap::values).cloned().collect();
    let items: Vec<Value> = all.iter().skip(from).take(cluster.page).cloned().collect();
    let next = from.saturating_add(items.len());
    let token = if next < all.len() { next.to_string() } else { String::new() };
    let metadata = json!({"resourceVersion": cluster.version.to_string(), "continue": token});
    json!({"kind": "List", "metadata": metadata, "items": items}).to_string().into_response()
}

fn watch_objects(fake: Fake, plural: String, query: &HashMap<String, String>) -> Response {
    let (sender, receiver) = mpsc::channel::<Result<String, std::io::Error>>(64);
    let end = tokio::time::Instant::now() + Duration::from_secs(query["timeoutSeconds"].parse().unwrap());
    let line = |kind: &str, object: &Value| format!("{}\n", json!({"type": kind, "object": object}));
    let bookmark = |version: u64, annotations: Value| json!({"metadata": {"resourceVersion": version.to_string(), "annotations": annotations}});
    let mut first = Vec::new();
    let mut since;
    if query.contains_key("sendInitialEvents") {
        let mut cluster = fake.cluster();
        if cluster.refuses_streaming {
            return status(
                422,
                "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
            );
        }
        *cluster.requests.entry("streaming list").or_default() += 1;
        since = cluster.version;
        let objects = cluster.objects.get(&plural).into_iter().flat_map(BTreeMap::values);
        first.extend(objects.map(|object| line("ADDED", object)));
        first.push(line("BOOKMARK", &bookmark(since, json!({"k8s.io/initial-events-end": "true"}))));
    } else {
        since = query["resourceVersion"].parse().unwrap();
    }
    let mut changed = fake.changed.subscribe();
    tokio::spawn(async move {
        for line in first {
            if sender.send(Ok(line)).await.is_err() {
                return;
            }
        }
        loop {
            let lines: Vec<String> = {
                let cluster = fake.cluster();
                if cluster.mode == Mode::Down || (plural == "podsecuritypolicies" && !cluster.has_crd) {
                    return;
                }
                if cluster.mode == Mode::Silent {
                    Vec::new()
                } else if since < cluster.forgotten {
                    let gone = json!({"kind": "Status", "code": 410, "message": "too old resource version"});
                    vec![line("ERROR", &gone)]
                } else {
                    let news =
                        cluster.events.iter().filter(|event| event.version > since && event.plural == plural);
                    let mut lines: Vec<String> = news.map(|event| line(event.kind, &event.object)).collect();
                    if !lines.is_empty() {
                        lines.push(line("BOOKMARK", &bookmark(cluster.version, json!({}))));
                    }
                    since = cluster.version;
                    lines
                }
            };
            for line in lines {
                if sender.send(Ok(line)).await.is_err() {
                    return;
                }
            }
            let silent = fake.cluster().mode == Mode::Silent;
            tokio::select! {
                () = tokio::time::sleep_until(end), if !silent => return,
                _ = changed.changed() => {}
                () = sender.closed() => return,
            }
        }
    });
    Body::from_stream(ReceiverStream::new(receiver)).into_response()
}
