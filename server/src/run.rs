//! Wiring: from a configuration to a server that runs, and back down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

use crate::admin::{self, Admin};
use crate::cluster;
use crate::config::{Config, Evaluator};
use crate::grpc::{self, Bound, Service};
use crate::manifests;
use crate::metrics::Metrics;
use crate::publisher::Publisher;

/// Name of the service, as health checks ask for it.
const SERVICE: &str = "gavel.v1.PolicyDecision";
/// How often it is looked whether the snapshot has grown too old.
const HEALTH: Duration = Duration::from_millis(500);

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    /// Where gRPC is served: `127.0.0.1:9470`, or `unix:PATH`.
    pub listening: Vec<String>,
    /// Where metrics and probes are served.
    pub admin: SocketAddr,
    publisher: Arc<Publisher>,
    /// Turns true once health says so, too.
    serving: watch::Receiver<bool>,
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
}

/// Starts a server: binds its sockets, and begins to read its source.
///
/// # Errors
/// When an address cannot be bound.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    let publisher = Arc::new(if config.cluster {
        Publisher::new(cluster::sources())
    } else {
        Publisher::new([manifests::SOURCE.to_owned()])
    });
    let metrics = Arc::new(Metrics::new());
    let mut bound = Vec::new();
    for listen in &config.listen {
        bound.push(grpc::bind(listen).await?);
    }
    let admin_listener = TcpListener::bind(config.admin_listen)
        .await
        .with_context(|| format!("--admin-listen {}: cannot bind", config.admin_listen))?;
    let admin_address = admin_listener.local_addr()?;

    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let health = tonic_health::server::HealthReporter::new();
    // HealthReporter::new reports the empty service as serving.
    health.set_service_status("", ServingStatus::NotServing).await;
    health.set_service_status(SERVICE, ServingStatus::NotServing).await;
    let service = Arc::new(Service {
        publisher: publisher.clone(),
        metrics: metrics.clone(),
        admission: !config.evaluators.contains(&Evaluator::None),
        max_wait: Duration::from_secs(config.max_wait_seconds),
        stop: stop.clone(),
    });
    let routes = grpc::routes(service, health.clone(), config.max_request_bytes)?;

    let mut listening = Vec::new();
    for socket in bound {
        let router = Server::builder().add_routes(routes.clone());
        let stopped = stop.clone().cancelled_owned();
        match socket {
            Bound::Tcp(listener) => {
                listening.push(listener.local_addr()?.to_string());
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                tasks.spawn(async move { Ok(router.serve_with_incoming_shutdown(incoming, stopped).await?) });
            }
            Bound::Unix(listener, file) => {
                listening.push(format!("unix:{}", file.path().display()));
                let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
                tasks.spawn(async move {
                    let served = router.serve_with_incoming_shutdown(incoming, stopped).await;
                    drop(file);
                    Ok(served?)
                });
            }
        }
    }
    let admin = Arc::new(Admin {
        publisher: publisher.clone(),
        metrics: metrics.clone(),
        unready_after: config.unready_after(),
        draining: AtomicBool::new(false),
    });
    let stopped = stop.clone().cancelled_owned();
    let router = admin::router(admin.clone());
    tasks
        .spawn(async move { Ok(axum::serve(admin_listener, router).with_graceful_shutdown(stopped).await?) });
    let (serves, serving) = watch::channel(false);
    tasks.spawn(report_health(health, serves, admin, stop.clone()));
    if config.cluster {
        tasks.spawn(cluster::follow(config, publisher.clone(), metrics, stop.clone()));
    } else {
        tasks.spawn(manifests::follow(config, publisher.clone(), stop.clone()));
    }

    tracing::info!(listening = listening.join(" "), admin = %admin_address, "started");
    Ok(Running { listening, admin: admin_address, publisher, serving, stop, tasks })
}

/// Serving while the server is ready, as `/readyz` has it; not any more once told to stop.
async fn report_health(
    health: tonic_health::server::HealthReporter,
    serves: watch::Sender<bool>,
    admin: Arc<Admin>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut progress = admin.publisher.progress();
    let mut was_ready = false;
    while !stop.is_cancelled() {
        progress.mark_unchanged();
        let is_ready = admin.is_ready();
        if is_ready != was_ready {
            set_health(&health, is_ready).await;
            serves.send_replace(is_ready);
            was_ready = is_ready;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            // The publisher outlives this task.
            _ = progress.changed(), if !is_ready => {}
            () = tokio::time::sleep(HEALTH) => {}
        }
    }
    admin.draining.store(true, Ordering::Relaxed);
    set_health(&health, false).await;
    Ok(())
}

async fn set_health(health: &tonic_health::server::HealthReporter, is_ready: bool) {
    let status = if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    health.set_service_status("", status).await;
    health.set_service_status(SERVICE, status).await;
}

impl Running {
    /// Waits until the source has delivered, so that questions are answered, and health says so.
    ///
    /// # Errors
    /// When the server ends before that, and why.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            biased;
            became = self.serving.wait_for(|serving| *serving) => {
                became?;
                Ok(())
            }
            ended = self.tasks.join_next() => {
                ended.context("nothing is running")???;
                anyhow::bail!("the server ended before it was ready")
            }
        }
    }

    /// Revision of the snapshot that answers; none before the source has delivered.
    pub fn revision(&self) -> Option<u64> {
        self.publisher
            .current()
            .and_then(|guard| guard.as_ref().map(|published| published.snapshot.revision()))
    }

    /// Runs until told to stop, or until a part of the server fails. Then lets requests in flight end.
    ///
    /// # Errors
    /// When a part of the server failed.
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
        match tokio::time::timeout(drain, all_ended).await {
            Ok(result) => result,
            Err(_) => {
                tracing::warn!(seconds = drain.as_secs(), "requests in flight were cut off");
                Ok(())
            }
        }
    }

    /// Stops the server.
    ///
    /// # Errors
    /// When a part of the server had failed.
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
