//! The operator's side: `/livez`, `/readyz` and `/metrics` over HTTP.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use gavel_client::Balanced;
use gavel_client::balanced;

use crate::certificate::Served;
use crate::config::OnUnavailable;
use crate::metrics::Metrics;

/// What the endpoints look at.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) servers: Balanced,
    pub(crate) served: Arc<Served>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) on_unavailable: OnUnavailable,
    /// Set once a replica was seen to serve.
    pub(crate) reached: AtomicBool,
    /// Set once the webhook was told to stop: readiness falls first.
    pub(crate) draining: AtomicBool,
}

pub(crate) fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

/// Ready once there is a certificate, and a server has been reached: a new deployment that reaches none does not take
/// the place of one that does. A server that is lost afterwards is told in the detail, and does not take readiness
/// away: without this webhook the API server would answer instead, in words that tell nobody what is wrong, and by
/// its `failurePolicy`. With `--on-unavailable allow` no server is waited for at all.
async fn readyz(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let replicas = admin.servers.replicas();
    let good = replicas.iter().filter(|replica| replica.state == balanced::State::Good).count();
    if good > 0 {
        admin.reached.store(true, Ordering::Relaxed);
    }
    let draining = admin.draining.load(Ordering::Relaxed);
    let has_certificate = admin.served.expires().is_some();
    let reached = admin.reached.load(Ordering::Relaxed) || admin.on_unavailable == OnUnavailable::Allow;
    let mut text = String::new();
    let mut line = |good: bool, what: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "[{}] {what}", if good { '+' } else { '-' });
    };
    line(!draining, if draining { "draining" } else { "serving" });
    line(has_certificate, if has_certificate { "certificate" } else { "no certificate yet" });
    line(good > 0, &format!("{good} of {} servers serve", replicas.len()));
    for balanced::ReplicaStatus { address, state, detail } in &replicas {
        let is_good = *state == balanced::State::Good;
        let state = match state {
            balanced::State::Good => "serves",
            balanced::State::Unknown => "not heard of yet",
            balanced::State::NotServing => "does not serve",
            balanced::State::Failed => "does not answer",
        };
        line(is_good, &format!("{address} {state}{}{detail}", if detail.is_empty() { "" } else { ": " }));
    }
    for why in admin.servers.unresolved() {
        line(false, &why);
    }
    let is_ready = !draining && has_certificate && reached;
    (if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match admin.metrics.encode(&admin.servers, admin.served.expires()) {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, TYPE)], text),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string())
        }
    }
}
