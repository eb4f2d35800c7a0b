//! What the CNI plugin asks, over HTTP by a unix socket.
//!
//! | request | answer |
//! |---|---|
//! | `PUT /v1/holds/CONTAINER/INTERFACE` with a [`Hold`] | 200 once its traffic is held, with `revision` and `known` |
//! | `GET /v1/holds/CONTAINER/INTERFACE` | 200 with the [`Hold`] and `known`; 404 |
//! | `DELETE /v1/holds/CONTAINER/INTERFACE` | 204, also when there was none |
//! | `POST /v1/holds/gc` with `valid`, a list of [`Attachment`]s | 200 with `removed`: those that are not in it are gone |
//! | `GET /readyz` | 200 when the rules are in the kernel as they should be; else 503 with a reason |
//!
//! What cannot be done is told as `{"error": "…"}`.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path as Captured, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use super::{Attachment, Hold};

/// What the plugin wants, and whom to tell that it is done.
#[derive(Debug)]
pub(crate) enum Request {
    Put(Attachment, Hold, oneshot::Sender<Result<Put, String>>),
    Get(Attachment, oneshot::Sender<Option<Got>>),
    /// Tells how many were removed.
    Remove(Which, oneshot::Sender<Result<usize, String>>),
    Ready(oneshot::Sender<Result<(), String>>),
}

/// Which pods are held no longer.
#[derive(Debug)]
pub(crate) enum Which {
    This(Attachment),
    AllBut(BTreeSet<Attachment>),
}

/// A pod is held.
#[derive(Debug, Serialize)]
pub(crate) struct Put {
    /// Of the server's snapshot; 0 while no server has been heard from.
    pub(crate) revision: u64,
    /// Whether the server knows the pod already.
    pub(crate) known: bool,
}

/// A pod that was told of.
#[derive(Debug, Serialize)]
pub(crate) struct Got {
    #[serde(flatten)]
    pub(crate) hold: Hold,
    pub(crate) known: bool,
}

/// Which attachments there still are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Valid {
    valid: BTreeSet<Attachment>,
}

/// Takes the place of a socket's file that nobody listens to any more, and lets only this user ask.
///
/// # Errors
/// When it cannot, or somebody listens there.
pub(crate) async fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    let flag = || format!("--cni-socket {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{}: its folder cannot be made", flag()))?;
    }
    if tokio::net::UnixStream::connect(path).await.is_ok() {
        anyhow::bail!("{}: another agent listens there", flag());
    }
    match std::fs::symlink_metadata(path) {
        Ok(there) if std::os::unix::fs::FileTypeExt::is_socket(&there.file_type()) => {
            std::fs::remove_file(path).with_context(flag)?;
        }
        Ok(_) => anyhow::bail!("{}: there is something else than a socket", flag()),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).with_context(flag)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).with_context(flag)?;
    Ok(listener)
}

/// What answers.
pub(crate) fn router(requests: mpsc::Sender<Request>) -> Router {
    Router::new()
        .route("/v1/holds/gc", post(gc))
        .route("/v1/holds/{container}/{interface}", put(hold).get(look).delete(release))
        .route("/readyz", get(ready))
        .with_state(Arc::new(requests))
}

type Requests = State<Arc<mpsc::Sender<Request>>>;

fn error(status: StatusCode, why: impl Into<String>) -> Response {
    (status, Json(json!({"error": why.into()}))).into_response()
}

/// Has a request done, and waits for its answer.
async fn done<A>(
    requests: &mpsc::Sender<Request>,
    request: impl FnOnce(oneshot::Sender<A>) -> Request,
) -> Result<A, Response> {
    let stopping =
        |_| error(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping; try again once it is back");
    let (sender, answer) = oneshot::channel();
    requests.send(request(sender)).await.map_err(|_| stopping(()))?;
    answer.await.map_err(|_| stopping(()))
}

async fn hold(
    State(requests): Requests,
    Captured((container_id, ifname)): Captured<(String, String)>,
    body: Result<Json<Hold>, JsonRejection>,
) -> Response {
    let hold = match body {
        Ok(Json(hold)) => hold,
        Err(why) => return error(StatusCode::BAD_REQUEST, why.body_text()),
    };
    if hold.namespace.is_empty() || hold.pod.is_empty() || hold.addresses.is_empty() {
        return error(StatusCode::BAD_REQUEST, "namespace, pod and addresses must not be empty");
    }
    let attachment = Attachment { container_id, ifname };
    match done(&requests, |answer| Request::Put(attachment, hold, answer)).await {
        Ok(Ok(put)) => Json(put).into_response(),
        Ok(Err(why)) => error(StatusCode::INTERNAL_SERVER_ERROR, why),
        Err(response) => response,
    }
}

async fn look(
    State(requests): Requests,
    Captured((container_id, ifname)): Captured<(String, String)>,
) -> Response {
    let attachment = Attachment { container_id, ifname };
    match done(&requests, |answer| Request::Get(attachment, answer)).await {
        Ok(Some(got)) => Json(got).into_response(),
        Ok(None) => error(StatusCode::NOT_FOUND, "the agent has not been told of this attachment"),
        Err(response) => response,
    }
}

async fn release(
    State(requests): Requests,
    Captured((container_id, ifname)): Captured<(String, String)>,
) -> Response {
    let which = Which::This(Attachment { container_id, ifname });
    match done(&requests, |answer| Request::Remove(which, answer)).await {
        Ok(Ok(_)) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(why)) => error(StatusCode::INTERNAL_SERVER_ERROR, why),
        Err(response) => response,
    }
}

async fn gc(State(requests): Requests, body: Result<Json<Valid>, JsonRejection>) -> Response {
    let valid = match body {
        Ok(Json(Valid { valid })) => valid,
        Err(why) => return error(StatusCode::BAD_REQUEST, why.body_text()),
    };
    match done(&requests, |answer| Request::Remove(Which::AllBut(valid), answer)).await {
        Ok(Ok(removed)) => Json(json!({"removed": removed})).into_response(),
        Ok(Err(why)) => error(StatusCode::INTERNAL_SERVER_ERROR, why),
        Err(response) => response,
    }
}

async fn ready(State(requests): Requests) -> Response {
    match done(&requests, Request::Ready).await {
        Ok(Ok(())) => "ok\n".into_response(),
        Ok(Err(why)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
        Err(response) => response,
    }
}
