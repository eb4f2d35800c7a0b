//! The operator's side: `/livez`, `/readyz` and `/metrics` over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::metrics::Metrics;
use crate::publisher::{Publisher, SourceState};

/// What the endpoints look at.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) metrics: Arc<Metrics>,
    /// Set once the server was told to stop: readiness falls first.
    pub(crate) draining: AtomicBool,
}

pub(crate) fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

/// Ready once the source has delivered; a source that fails afterwards is told in the detail, and does not take
/// readiness away: the last good snapshot answers.
async fn readyz(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let source = admin.publisher.source();
    let revision = admin
        .publisher
        .current()
        .and_then(|guard| guard.as_ref().map(|published| published.snapshot.revision()));
    let draining = admin.draining.load(Ordering::Relaxed);
    let ready = revision.is_some() && !draining;
    let mut text = String::new();
    let mut line = |good: bool, what: String| {
        text.push_str(if good { "[+] " } else { "[-] " });
        text.push_str(&what);
        text.push('\n');
    };
    line(!draining, if draining { "draining".to_owned() } else { "serving".to_owned() });
    match revision {
        Some(revision) => line(true, format!("snapshot revision {revision}")),
        None => line(false, "no snapshot yet".to_owned()),
    }
    match source.state {
        SourceState::Synced => line(true, format!("source {} synced", source.name)),
        SourceState::Pending => line(false, format!("source {} pending: {}", source.name, source.detail)),
        SourceState::Failing => line(
            false,
            format!("source {} failing, answering from the last good state: {}", source.name, source.detail),
        ),
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, text)
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match admin.metrics.encode(&admin.publisher) {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, TYPE)], text),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string())
        }
    }
}
