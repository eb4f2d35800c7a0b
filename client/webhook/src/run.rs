//! Wiring: from settings to a webhook that runs, and back down.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use gavel_client::Balanced;
use gavel_client::balanced::{Dns, Settings};
use gavel_telemetry::Tracing;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::certificate::{Served, follow_files, self_issued};
use crate::config::Config;
use crate::handler::{self, Handler};
use crate::listener::{self, Tls};
use crate::metrics::Metrics;
use crate::room::Room;

/// A webhook that runs.
#[derive(Debug)]
pub struct Running {
    /// Where HTTPS is served.
    pub listening: SocketAddr,
    /// Where metrics and probes are served.
    pub admin: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
}

/// Starts a webhook that makes no traces: see [`start_traced`].
///
/// # Errors
/// As [`start_traced`].
pub async fn start(config: Config) -> anyhow::Result<Running> {
    start_traced(config, Tracing::off()).await
}

/// Starts a webhook: binds its sockets, loads its certificate, and begins to look for servers. A certificate that is
/// issued here may take longer; until there is one, connections are refused and readiness says so.
///
/// # Errors
/// When a socket cannot be bound, files of certificates or tokens cannot be used, or no API server can be looked for.
pub async fn start_traced(config: Config, tracing: Tracing) -> anyhow::Result<Running> {
    let listener = bind("--listen", config.listen).await?;
    let admin_listener = bind("--admin-listen", config.admin_listen).await?;
    let (listening, admin_address) = (listener.local_addr()?, admin_listener.local_addr()?);
    let metrics = Arc::new(Metrics::new());
    let served = Arc::new(Served::default());
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    certify(&config, &served, &metrics, &stop, &mut tasks).await?;
    let client_ca = config.callers.client_ca.as_deref();
    let tls = Tls::new(served.clone(), client_ca, config.reload(), metrics.clone()).await?;
    let servers = servers(&config).await?;
    let admin = Arc::new(Admin {
        servers: servers.clone(),
        served,
        metrics: metrics.clone(),
        on_unavailable: config.on_unavailable,
        reached: AtomicBool::new(false),
        draining: AtomicBool::new(false),
    });
    let reaching = admin.clone();
    tasks.spawn(until_cancelled(stop.clone(), async move {
        reaching.reach().await;
        // A task that ends would end the webhook.
        std::future::pending::<()>().await;
    }));
    let handler = Arc::new(Handler {
        servers,
        metrics: metrics.clone(),
        on_unavailable: config.on_unavailable,
        messages: config.messages,
        max_request_bytes: config.max_request_bytes,
        room: Room::new(config.callers.max_in_flight, config.max_request_bytes),
        tracing,
    });
    // Probes and metrics are there until the last review is answered.
    let answered = CancellationToken::new();
    let admin_router = admin::router(admin.clone());
    let ended = answered.clone().cancelled_owned();
    tasks.spawn(
        async move { Ok(axum::serve(admin_listener, admin_router).with_graceful_shutdown(ended).await?) },
    );
    let serving = Serving { listener, tls, handler, admin, metrics, config: config.clone() };
    tasks.spawn(serving.serve(stop.clone(), answered));

    tracing::info!(%listening, admin = %admin_address, servers = config.server.join(" "), "started");
    Ok(Running { listening, admin: admin_address, stop, tasks })
}

/// Sees to the certificate that is served.
async fn certify(
    config: &Config,
    served: &Arc<Served>,
    metrics: &Arc<Metrics>,
    stop: &CancellationToken,
    tasks: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let (served, metrics, stop) = (served.clone(), metrics.clone(), stop.clone());
    match (&config.self_issued, &config.tls_cert, &config.tls_key) {
        (Some(secret), ..) => {
            let issuing = self_issued(secret.clone(), config.issue.clone(), served, metrics).await?;
            tasks.spawn(until_cancelled(stop, issuing));
        }
        (None, Some(certificate), Some(key)) => {
            let following = follow_files(certificate, key, config.reload(), served, metrics).await?;
            tasks.spawn(until_cancelled(stop, following));
        }
        _ => anyhow::bail!("--tls-cert and --tls-key, or --self-issued, must be given"),
    }
    Ok(())
}

/// The servers, as they are to be asked.
async fn servers(config: &Config) -> anyhow::Result<Balanced> {
    let mut settings = Settings::default();
    settings.security = config.access.security(config.reload());
    Balanced::with(&config.server, settings, Arc::new(Dns)).await.context("--server")
}

async fn bind(flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{flag} {address}: cannot bind"))
}

async fn until_cancelled(stop: CancellationToken, task: impl Future<Output = ()>) -> anyhow::Result<()> {
    tokio::select! {
        () = task => {}
        () = stop.cancelled() => {}
    }
    Ok(())
}

/// What HTTPS is served with.
struct Serving {
    listener: TcpListener,
    tls: Tls,
    handler: Arc<Handler>,
    admin: Arc<Admin>,
    metrics: Arc<Metrics>,
    config: Config,
}

impl Serving {
    /// Serves until told to stop. Then readiness falls, what still comes is answered for a while, and what is in flight
    /// ends; `answered` is cancelled last.
    async fn serve(self, stop: CancellationToken, answered: CancellationToken) -> anyhow::Result<()> {
        let Self { listener, tls, handler, admin, metrics, config } = self;
        let _answered = answered.drop_guard();
        let close = CancellationToken::new();
        let closing = close.clone();
        let delay = config.drain_delay();
        let leaving = async move {
            stop.cancelled().await;
            admin.draining.store(true, Ordering::Relaxed);
            tokio::time::sleep(delay).await;
            closing.cancel();
        };
        let router = handler::router(handler);
        let serving = listener::serve(listener, tls, &config.callers, router, metrics, close, config.drain());
        tokio::join!(leaving, serving);
        Ok(())
    }
}

impl Running {
    /// Runs until told to stop, or until a part of the webhook fails. Then lets requests in flight end.
    ///
    /// # Errors
    /// When a part of the webhook failed.
    pub async fn until(mut self, told: impl Future<Output = ()>, drain: Duration) -> anyhow::Result<()> {
        let failed = tokio::select! {
            () = told => Ok(()),
            ended = self.tasks.join_next() => match ended {
                Some(Ok(ended)) => ended,
                Some(Err(panicked)) => Err(panicked.into()),
                None => Ok(()),
            },
        };
        tracing::info!("stopping");
        self.stop.cancel();
        let all_ended = async {
            let mut result = failed;
            while let Some(ended) = self.tasks.join_next().await {
                result = result.and(ended.map_err(anyhow::Error::from).flatten());
            }
            result
        };
        // The requests in flight are cut off by the server itself; this is for whatever else might hang.
        match tokio::time::timeout(drain + Duration::from_secs(2), all_ended).await {
            Ok(result) => result,
            Err(_) => {
                tracing::warn!(seconds = drain.as_secs(), "what was in flight was cut off");
                Ok(())
            }
        }
    }

    /// Stops the webhook.
    ///
    /// # Errors
    /// When a part of the webhook had failed.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.until(std::future::ready(()), Duration::from_secs(5)).await
    }
}

/// Listens to ctrl-C and SIGTERM from now on; the future resolves once the process is told to stop.
///
/// # Errors
/// When the signals cannot be listened to.
pub fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    })
}
