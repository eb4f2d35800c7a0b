//! The operator's side: `/livez`, `/readyz` and `/metrics` over HTTP.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::agent::{Health, Shown};
use crate::metrics::Metrics;
use crate::queue::counters;

/// What the kernel counts of queues.
const QUEUES: &str = "/proc/net/netfilter/nfnetlink_queue";

/// What the endpoints look at.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) shown: Arc<Shown>,
    pub(crate) metrics: Arc<Metrics>,
    /// Numbers of the queues.
    pub(crate) queues: Range<u32>,
}

pub(crate) fn router(admin: Arc<Admin>) -> IntoMakeServiceWithConnectInfo<Router, SocketAddr> {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
        .into_make_service_with_connect_info()
}

/// Ready once a server has told of the node's pods and what follows from that is in the kernel. A server that is lost
/// afterwards is told in the detail, and does not take readiness away: the agent enforces what it knows, and its setting.
///
/// What is wrong with servers may name addresses and accounts, and is for this machine alone.
async fn readyz(
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    State(admin): State<Arc<Admin>>,
) -> impl IntoResponse {
    let Health { rules, server, was_told } = admin.shown.get();
    let is_near = caller.ip().to_canonical().is_loopback();
    let mut text = String::new();
    let mut line = |why: Option<&String>, good: &str, bad: &str| {
        // Writing to a String cannot fail.
        let _ = match why {
            None => writeln!(text, "[+] {good}"),
            Some(why) if is_near => writeln!(text, "[-] {bad}: {why}"),
            Some(_) => writeln!(text, "[-] {bad}"),
        };
    };
    line(rules.as_ref(), "rules are in the kernel", "rules are not in the kernel");
    line(server.as_ref(), "a server answers", "no server answers");
    let is_ready = was_told && rules.is_none();
    (if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    // Without the kernel's figures the others are still worth having.
    let text = tokio::fs::read_to_string(QUEUES).await.unwrap_or_default();
    match admin.metrics.encode(counters(&text, &admin.queues)) {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, TYPE)], text),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string())
        }
    }
}
