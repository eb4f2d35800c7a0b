//! As much of an API server as certificates need: objects with a resourceVersion, in memory. (The real one is asked in
//! `deploy/e2e`.)

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// Objects by their paths, and how often anything was written.
#[derive(Debug, Default)]
struct Objects {
    by_path: BTreeMap<String, Value>,
    writes: u64,
}

/// An API server that runs as long as the test.
pub(crate) struct ApiServer {
    objects: Arc<Mutex<Objects>>,
    pub(crate) address: SocketAddr,
    folder: TempDir,
}

impl ApiServer {
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let objects = Arc::<Mutex<Objects>>::default();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(objects.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { objects, address, folder: tempfile::tempdir().unwrap() }
    }

    /// A kubeconfig for it.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        let path = self.folder.path().join("kubeconfig");
        std::fs::write(&path, kubeconfig(self.address)).unwrap();
        path
    }

    pub(crate) fn put(&self, path: &str, mut object: Value) {
        object["metadata"]["resourceVersion"] = json!("1");
        self.objects.lock().unwrap().by_path.insert(path.to_owned(), object);
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.objects.lock().unwrap().by_path.get(path).cloned().unwrap_or_default()
    }

    pub(crate) fn writes(&self) -> u64 {
        self.objects.lock().unwrap().writes
    }

    /// A configuration of either kind, with these webhooks.
    pub(crate) fn configure(&self, kind: &str, webhooks: &[&str]) {
        let webhooks: Vec<Value> = webhooks
            .iter()
            .map(|name| {
                json!({"name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
                    "clientConfig": {"url": "https://127.0.0.1:1/validate"}})
            })
            .collect();
        self.put(
            &configuration(kind),
            json!({"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "gavel"}, "webhooks": webhooks}),
        );
    }
}

/// Where the configuration `gavel` of a kind is: `mutating` or `validating`.
pub(crate) fn configuration(kind: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations/gavel")
}

pub(crate) fn kubeconfig(address: SocketAddr) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}]\n\
         users: [{{name: c, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: c}}}}]\n"
    )
}

async fn answer(
    State(objects): State<Arc<Mutex<Objects>>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    let mut objects = objects.lock().unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut path = uri.path().to_owned();
    if method == Method::POST {
        path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap());
    }
    let found = objects.by_path.get(&path).cloned();
    let sent = &body["metadata"]["resourceVersion"];
    let object = match (method.as_str(), found) {
        ("GET", Some(found)) => return reply(StatusCode::OK, &found),
        ("GET" | "PUT" | "PATCH", None) => return fail(StatusCode::NOT_FOUND, "NotFound"),
        ("POST", Some(_)) => return fail(StatusCode::CONFLICT, "AlreadyExists"),
        ("PUT" | "PATCH", Some(found))
            if !sent.is_null() && *sent != found["metadata"]["resourceVersion"] =>
        {
            return fail(StatusCode::CONFLICT, "Conflict");
        }
        ("PATCH", Some(found)) => merged(found, &body),
        ("POST", None) | ("PUT", Some(_)) => body,
        (other, _) => panic!("{other} {path}"),
    };
    objects.writes += 1;
    let mut object = object;
    object["metadata"]["resourceVersion"] = json!((objects.writes + 1).to_string());
    objects.by_path.insert(path, object.clone());
    reply(StatusCode::OK, &object)
}

/// A strategic merge, of what is merged here: webhooks by their names, and `clientConfig` field by field.
fn merged(mut found: Value, patch: &Value) -> Value {
    for change in patch["webhooks"].as_array().unwrap() {
        let webhooks = found["webhooks"].as_array_mut().unwrap();
        let webhook = webhooks.iter_mut().find(|webhook| webhook["name"] == change["name"]).unwrap();
        for (key, value) in change["clientConfig"].as_object().unwrap() {
            webhook["clientConfig"][key] = value.clone();
        }
    }
    found
}

fn reply(status: StatusCode, object: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], object.to_string()).into_response()
}

fn fail(status: StatusCode, reason: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason,
        "message": reason, "code": status.as_u16()});
    reply(status, &body)
}
