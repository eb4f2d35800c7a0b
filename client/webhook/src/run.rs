//! Wiring: from settings to a webhook that runs, and back down.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use gavel_client::Balanced;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::certificate::{self, Served, follow_files, self_issued};
use crate::config::Config;
use crate::handler::{self, Handler};
use crate::metrics::Metrics;

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

/// Starts a webhook: binds its sockets, loads its certificate, and begins to look for servers. A certificate that is
/// issued here may take longer; until there is one, connections are refused and readiness says so.
///
/// # Errors
/// When a socket cannot be bound, the certificate's files cannot be used, or no API server can be looked for.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    let listener = bind("--listen", config.listen).await?;
    let admin_listener = bind("--admin-listen", config.admin_listen).await?;
    let (listening, admin_address) = (listener.local_addr()?, admin_listener.local_addr()?);
    let metrics = Arc::new(Metrics::new());
    let served = Arc::new(Served::default());
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();

    match (&config.self_issued, &config.tls_cert, &config.tls_key) {
        (Some(secret), ..) => {
            let issuing =
                self_issued(secret.clone(), config.issue.clone(), served.clone(), metrics.clone()).await?;
            tasks.spawn(until_cancelled(stop.clone(), issuing));
        }
        (None, Some(certificate), Some(key)) => {
            let interval = Duration::from_secs(config.reload_seconds);
            let following = follow_files(certificate, key, interval, served.clone(), metrics.clone()).await?;
            tasks.spawn(until_cancelled(stop.clone(), following));
        }
        _ => anyhow::bail!("--tls-cert and --tls-key, or --self-issued, must be given"),
    }

    let servers = Balanced::new(&config.server).await.context("--server")?;
    let admin = Arc::new(Admin {
        servers: servers.clone(),
        served: served.clone(),
        metrics: metrics.clone(),
        on_unavailable: config.on_unavailable,
        reached: AtomicBool::new(false),
        draining: AtomicBool::new(false),
    });
    let handler = Arc::new(Handler {
        servers,
        metrics,
        on_unavailable: config.on_unavailable,
        messages: config.messages,
        max_request_bytes: config.max_request_bytes,
    });
    // Probes and metrics are there until the last review is answered.
    let answered = CancellationToken::new();
    let admin_router = admin::router(admin.clone());
    let ended = answered.clone().cancelled_owned();
    tasks.spawn(
        async move { Ok(axum::serve(admin_listener, admin_router).with_graceful_shutdown(ended).await?) },
    );
    let tls = RustlsConfig::from_config(certificate::tls(served)?);
    tasks.spawn(serve(listener, tls, handler, admin, stop.clone(), config.drain(), answered));

    tracing::info!(%listening, admin = %admin_address, servers = config.server.join(" "), "started");
    Ok(Running { listening, admin: admin_address, stop, tasks })
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

/// Serves HTTPS until told to stop, and then until the requests in flight are answered.
async fn serve(
    listener: TcpListener,
    tls: RustlsConfig,
    handler: Arc<Handler>,
    admin: Arc<Admin>,
    stop: CancellationToken,
    drain: Duration,
    answered: CancellationToken,
) -> anyhow::Result<()> {
    let _answered = answered.drop_guard();
    let handle = Handle::new();
    let server = axum_server::from_tcp(listener.into_std()?)?
        .acceptor(RustlsAcceptor::new(tls))
        .handle(handle.clone())
        .serve(handler::router(handler).into_make_service());
    let mut server = std::pin::pin!(server);
    tokio::select! {
        served = &mut server => return served.context("HTTPS"),
        () = stop.cancelled() => {}
    }
    admin.draining.store(true, Ordering::Relaxed);
    handle.graceful_shutdown(Some(drain));
    server.await.context("HTTPS")
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
