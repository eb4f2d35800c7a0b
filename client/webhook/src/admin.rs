//! The operator's side: `/livez`, `/readyz` and `/metrics` over HTTP.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use gavel_client::{Balanced, Error, SecurityStatus, balanced, v1};

use crate::certificate::Served;
use crate::config::OnUnavailable;
use crate::metrics::Metrics;

/// How often it is looked whether a server serves, until one does.
const LOOK: Duration = Duration::from_millis(100);
/// How long it may take to say whether this webhook may ask, and when it is asked again.
const PATIENCE: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(2);

/// What the endpoints look at.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) servers: Balanced,
    pub(crate) served: Arc<Served>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) on_unavailable: OnUnavailable,
    /// Set once a replica serves, and lets this webhook ask.
    pub(crate) reached: AtomicBool,
    /// Set once the webhook was told to stop: readiness falls first.
    pub(crate) draining: AtomicBool,
}

pub(crate) fn router(admin: Arc<Admin>) -> IntoMakeServiceWithConnectInfo<Router, SocketAddr> {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
        .into_make_service_with_connect_info()
}

impl Admin {
    /// Looks for a server that serves, and lets this webhook ask, until there was one. It is asked nothing in
    /// particular: that such a question is no question is said to those alone who may ask.
    pub(crate) async fn reach(&self) {
        loop {
            if self.good() > 0 {
                match self.servers.admit(v1::AdmitRequest::default(), PATIENCE).await {
                    Ok(_) | Err(Error::Invalid { .. }) => break,
                    Err(error) => {
                        tracing::warn!(%error, "servers serve, but not this webhook");
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        self.reached.store(true, Ordering::Relaxed);
    }

    fn good(&self) -> usize {
        self.servers.replicas().iter().filter(|replica| replica.state == balanced::State::Good).count()
    }
}

/// Ready once there is a certificate, and a server has been reached that lets this webhook ask: a new deployment that
/// reaches none does not take the place of one that does. A server that is lost afterwards is told in the detail, and
/// does not take readiness away: without this webhook the API server would answer instead, in words that tell nobody what
/// is wrong, and by its `failurePolicy`. With `--on-unavailable allow` no server is waited for at all.
///
/// What is wrong with servers and credentials may name addresses and accounts, and is for this machine alone.
async fn readyz(
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    State(admin): State<Arc<Admin>>,
) -> impl IntoResponse {
    let replicas = admin.servers.replicas();
    let good = admin.good();
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
    let (credentials, security) = credentials(&admin.servers.security());
    line(security.is_empty(), credentials);
    if caller.ip().to_canonical().is_loopback() {
        security.iter().for_each(|why| line(false, why));
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
    }
    let is_ready = !draining && has_certificate && reached;
    (if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

/// How TLS to servers and credentials are, in a word, and what is wrong with them.
fn credentials(security: &SecurityStatus) -> (&'static str, Vec<String>) {
    let mut wrong: Vec<String> = security.files.iter().cloned().collect();
    if security.certificate_expires.is_some_and(|at| at < SystemTime::now()) {
        wrong.push("the client certificate has expired".to_owned());
    }
    wrong.extend(security.refused.clone());
    let word = match (wrong.is_empty(), security.has_tls, security.has_token) {
        (false, ..) => "something is wrong with TLS to servers, or with credentials: the log tells what",
        (true, true, true) => "servers are asked over TLS, with a token",
        (true, true, false) if security.certificate_expires.is_some() => {
            "servers are asked over TLS, with a certificate"
        }
        (true, true, false) => "servers are asked over TLS, without credentials",
        (true, false, true) => "servers are asked without TLS, with a token",
        (true, false, false) => "servers are asked without TLS and credentials",
    };
    (word, wrong)
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
