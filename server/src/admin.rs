//! The operator's side: `/livez`, `/readyz` and `/metrics` over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::metrics::Metrics;
use crate::publisher::Publisher;
use crate::status::{SourceState, SourceStatus};

/// What the endpoints look at.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) metrics: Arc<Metrics>,
    /// How old the snapshot may be; none: as old as it likes.
    pub(crate) unready_after: Option<Duration>,
    /// Set once the server was told to stop: readiness falls first.
    pub(crate) draining: tokio_util::sync::CancellationToken,
}

impl Admin {
    /// Ready once every source has delivered (or an earlier process's snapshot was restored), until the snapshot is
    /// too old, or the server stops. A manifest that cannot be read takes no readiness away: the last good state is
    /// what somebody wrote, however old.
    pub(crate) fn is_ready(&self) -> bool {
        self.publisher.current().is_some() && !self.is_too_old() && !self.draining.is_cancelled()
    }

    fn is_too_old(&self) -> bool {
        self.publisher.follows_cluster()
            && self.unready_after.zip(self.publisher.staleness()).is_some_and(|(most, age)| age > most)
    }
}

pub(crate) fn router(admin: Arc<Admin>) -> IntoMakeServiceWithConnectInfo<Router, SocketAddr> {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
        .into_make_service_with_connect_info()
}

/// What is well, and what is not, a line each. A source that fails is told of, and does not take readiness away: the
/// last good snapshot answers, until it is too old. Why it fails may name objects, and is for this machine alone.
async fn readyz(
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    State(admin): State<Arc<Admin>>,
) -> impl IntoResponse {
    let is_local = caller.ip().to_canonical().is_loopback();
    let mut text = String::new();
    let mut line = |good: bool, what: String| {
        text.push_str(if good { "[+] " } else { "[-] " });
        text.push_str(&what);
        text.push('\n');
    };
    let draining = admin.draining.is_cancelled();
    line(!draining, if draining { "draining".to_owned() } else { "serving".to_owned() });
    match admin.publisher.published() {
        Some(published) => line(true, format!("snapshot revision {}", published.snapshot.revision())),
        None => line(false, "no snapshot yet".to_owned()),
    }
    if let Some(staleness) = admin.publisher.staleness() {
        let limit = admin.unready_after.map_or("none".to_owned(), |limit| format!("{limit:?}"));
        let known =
            format!("snapshot known to be current {:.1}s ago, limit {limit}", staleness.as_secs_f64());
        line(!admin.is_too_old(), known);
    }
    for source in admin.publisher.sources() {
        let SourceStatus { name, state, .. } = &source;
        let detail =
            if is_local { source.detail.as_str() } else { "GetSnapshot, the log, and this machine tell why" };
        let refused = match source.errors() {
            0 => String::new(),
            errors => format!(", {errors} errors in objects: see GetSnapshot"),
        };
        match state {
            SourceState::Synced => line(true, format!("source {name} synced{refused}")),
            SourceState::Absent => line(true, format!("source {name} absent: {detail}")),
            SourceState::Pending => line(false, format!("source {name} pending: {detail}")),
            SourceState::Restored => line(false, format!("source {name} restored: {detail}")),
            SourceState::Failing => line(
                false,
                format!("source {name} failing, answering from the last good state: {detail}{refused}"),
            ),
        }
    }
    let status = if admin.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
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
