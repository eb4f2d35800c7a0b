//! Wiring: from a configuration to a server that runs, and back down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use gavel_telemetry::{Records, Tracing};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;

use crate::admin::{self, Admin};
use crate::config::Config;
use crate::grpc::{self, Bound};
use crate::metrics::{Metrics, Standing};
use crate::publisher::Publisher;
use crate::{cluster, manifests, wiring};

/// Name of the service, as health checks ask for it.
const SERVICE: &str = "gavel.v1.PolicyDecision";
/// How often it is looked whether the snapshot has grown too old.
const HEALTH: Duration = Duration::from_millis(500);
/// How long what is left may take once the last request was answered or cut off.
const LAST: Duration = Duration::from_secs(5);

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
    ends: Ends,
    drain_delay: Duration,
    /// What serves gRPC.
    services: JoinSet<anyhow::Result<()>>,
    /// What is needed for as long as requests are answered: sources, probes, metrics.
    others: JoinSet<anyhow::Result<()>>,
}

/// What has the parts of a server end, one after the other.
#[derive(Clone, Debug, Default)]
struct Ends {
    /// Not ready any more, and still serving.
    draining: CancellationToken,
    /// No more connections; those that are open end with their requests.
    stop: CancellationToken,
    /// Connections are cut.
    cut: CancellationToken,
    /// Nobody needs sources, probes and metrics any more.
    over: CancellationToken,
}

/// What a server tells, and how: traces, and decisions by OTLP. Nothing, by default.
#[derive(Clone, Debug)]
pub struct Telling {
    /// Which requests are traced.
    pub tracing: Tracing,
    /// How decisions are sent by OTLP.
    pub records: Option<Records>,
}

impl Default for Telling {
    fn default() -> Self {
        Self { tracing: Tracing::off(), records: None }
    }
}

/// Starts a server that traces nothing: see [`start_telling`].
///
/// # Errors
/// As [`start_telling`].
pub async fn start(config: Config) -> anyhow::Result<Running> {
    start_telling(config, Telling::default()).await
}

/// Starts a server: binds its sockets, and begins to read its source.
///
/// # Errors
/// When an address cannot be bound, or files of certificates or keys cannot be used.
pub async fn start_telling(config: Config, telling: Telling) -> anyhow::Result<Running> {
    let publisher = Arc::new(if config.cluster {
        Publisher::new(cluster::sources())
    } else {
        Publisher::new([manifests::SOURCE.to_owned()])
    });
    let metrics = Arc::new(Metrics::new(config.looks_at_admissions()));
    let told = metrics.clone();
    publisher.on_built(move |took| told.built(took));
    let tls = wiring::tls(&config, &metrics).await?;
    let access = wiring::access(&config).await?;
    let mut bound = Vec::new();
    for listen in &config.listen {
        bound.push(grpc::bind(listen, config.access.unix_socket_mode.map(|mode| mode.0)).await?);
    }
    let admin_listener = TcpListener::bind(config.admin_listen)
        .await
        .with_context(|| format!("--admin-listen {}: cannot bind", config.admin_listen))?;
    let admin_address = admin_listener.local_addr()?;

    let ends = Ends::default();
    let health = tonic_health::server::HealthReporter::new();
    // HealthReporter::new reports the empty service as serving.
    health.set_service_status("", ServingStatus::NotServing).await;
    health.set_service_status(SERVICE, ServingStatus::NotServing).await;
    let log = wiring::decision_log(&config, metrics.clone(), telling.records)?;
    let service =
        Arc::new(wiring::service(&config, publisher.clone(), metrics.clone(), log, ends.stop.clone()));
    let serving = grpc::Serving {
        shared: wiring::shared(&config, publisher.clone(), metrics.clone(), access, telling.tracing),
        calls: grpc::calls(service, health.clone(), config.limits.max_request_bytes)?,
        connections: wiring::connections(&config),
        settings: wiring::connection_settings(&config),
        workers: wiring::workers(&config)?,
        tls,
        stop: ends.stop.clone(),
        cut: ends.cut.clone(),
    };
    metrics.watch(Standing {
        shared: Arc::downgrade(&serving.shared),
        connections: serving.connections.clone(),
        tls: serving.tls.clone(),
    });

    let mut services = JoinSet::new();
    let mut listening = Vec::new();
    for socket in bound {
        listening.push(socket.to_string());
        let serving = serving.clone();
        services.spawn(async move {
            match socket {
                Bound::Tcp(listener, _) => serving.tcp(listener).await,
                Bound::Unix(listener, file) => serving.unix(listener, file).await,
            }
            Ok(())
        });
    }

    let mut others = JoinSet::new();
    let admin = Arc::new(Admin {
        publisher: publisher.clone(),
        metrics: metrics.clone(),
        unready_after: config.unready_after(),
        draining: ends.draining.clone(),
    });
    let over = ends.over.clone().cancelled_owned();
    let router = admin::router(admin.clone());
    others.spawn(async move { Ok(axum::serve(admin_listener, router).with_graceful_shutdown(over).await?) });
    let (serves, is_serving) = watch::channel(false);
    others.spawn(report_health(health, serves, admin));
    let drain_delay = config.drain_delay();
    if config.cluster {
        others.spawn(cluster::follow(config, publisher.clone(), metrics, ends.over.clone()));
    } else {
        others.spawn(manifests::follow(config, publisher.clone(), ends.over.clone()));
    }

    tracing::info!(listening = listening.join(" "), admin = %admin_address, "started");
    let admin = admin_address;
    Ok(Running { listening, admin, publisher, serving: is_serving, ends, drain_delay, services, others })
}

/// Serving while the server is ready, as `/readyz` has it; not any more once told to stop.
async fn report_health(
    health: tonic_health::server::HealthReporter,
    serves: watch::Sender<bool>,
    admin: Arc<Admin>,
) -> anyhow::Result<()> {
    let mut progress = admin.publisher.progress();
    let mut was_ready = false;
    while !admin.draining.is_cancelled() {
        progress.mark_unchanged();
        let is_ready = admin.is_ready();
        if is_ready != was_ready {
            set_health(&health, is_ready).await;
            serves.send_replace(is_ready);
            was_ready = is_ready;
        }
        tokio::select! {
            () = admin.draining.cancelled() => {}
            // The publisher outlives this task.
            _ = progress.changed(), if !is_ready => {}
            () = tokio::time::sleep(HEALTH) => {}
        }
    }
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
            ended = self.services.join_next() => ended_early(ended),
            ended = self.others.join_next() => ended_early(ended),
        }
    }

    /// Revision of the snapshot that answers; none before the source has delivered.
    pub fn revision(&self) -> Option<u64> {
        self.publisher
            .current()
            .and_then(|guard| guard.as_ref().map(|published| published.snapshot.revision()))
    }

    /// Runs until told to stop, or until a part of the server fails. Then readiness falls, and a while later requests
    /// in flight are let end, for as long as `drain`.
    ///
    /// # Errors
    /// When a part of the server failed.
    pub async fn until(mut self, told: impl Future<Output = ()>, drain: Duration) -> anyhow::Result<()> {
        let failed = tokio::select! {
            () = told => Ok(()),
            ended = self.services.join_next() => result_of(ended),
            ended = self.others.join_next() => result_of(ended),
        };
        tracing::info!("stopping");
        self.ends.draining.cancel();
        // Whoever balances looks at readiness now and then; until it has, it sends requests here.
        tokio::time::sleep(self.drain_delay).await;
        self.ends.stop.cancel();
        if tokio::time::timeout(drain, all_ended(&mut self.services)).await.is_err() {
            tracing::warn!(seconds = drain.as_secs(), "requests in flight were cut off");
            self.ends.cut.cancel();
        }
        self.ends.over.cancel();
        let rest = async { all_ended(&mut self.services).await.and(all_ended(&mut self.others).await) };
        match tokio::time::timeout(LAST, rest).await {
            Ok(result) => failed.and(result),
            Err(_) => failed,
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

fn result_of(ended: Option<Result<anyhow::Result<()>, JoinError>>) -> anyhow::Result<()> {
    match ended {
        Some(Ok(result)) => result,
        Some(Err(panicked)) => Err(panicked.into()),
        None => Ok(()),
    }
}

fn ended_early(ended: Option<Result<anyhow::Result<()>, JoinError>>) -> anyhow::Result<()> {
    result_of(ended)?;
    anyhow::bail!("the server ended before it was ready")
}

async fn all_ended(tasks: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        result = result.and(result_of(Some(ended)));
    }
    result
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
