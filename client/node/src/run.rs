//! Wiring: from settings to an agent that runs, until it is told to stop.

use std::future::Future;
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::admin::{self, Admin};
use crate::agent::{Agent, Shown, Tell};
use crate::config::Config;
use crate::cut::{self, Against};
use crate::firewall::{Firewall, Targets};
use crate::flow_log::{self, FlowLog};
use crate::holds::Held;
use crate::holds::api;
use crate::link::{Link, Settings};
use crate::metrics::Metrics;
use crate::queue::{Enforcing, Socket, Worker, refuse};
use crate::state::StateFile;

/// Requests of the CNI plugin that may wait.
const REQUESTS: usize = 64;

/// Runs an agent until it is told to stop, or a part of it fails. Its rules stay.
///
/// # Errors
/// When a socket, a queue or a file cannot be had, or a part of the agent failed.
pub async fn run(config: Config) -> anyhow::Result<()> {
    // Before anything is enforced: a signal that comes early is heeded, too.
    let told = told_to_stop()?;
    let mut parts = JoinSet::new();
    start(&config, &mut parts).await?;
    tokio::select! {
        () = told => {
            tracing::info!("stopping; the rules stay: `gavel-node uninstall` takes them out");
            Ok(())
        }
        ended = parts.join_next() => match ended {
            Some(Ok(ended)) => ended,
            Some(Err(panicked)) => Err(panicked.into()),
            None => Ok(()),
        },
    }
}

async fn start(config: &Config, parts: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    let enforce = &config.enforce;
    let metrics = Arc::new(Metrics::new());
    let shown = Arc::new(Shown::default());
    let admin_listener = TcpListener::bind(config.admin_listen)
        .await
        .with_context(|| format!("--admin-listen {}: cannot bind", config.admin_listen))?;
    let admin_address = admin_listener.local_addr()?;
    let sink = flow_log::open(config.flow_log_to.as_ref())?;
    let file = StateFile::new(&config.state_dir)?;
    let (log, records) = FlowLog::new(config.flow_log, metrics.clone());
    let (held, holding) = watch::channel(Arc::new(Held::default()));
    let (client, asked) = watch::channel(None);
    let link = Settings {
        servers: config.server.clone(),
        security: config.access.security(config.reload()),
        node: config.node_name.clone().unwrap_or_default(),
        timeout: enforce.timeout(),
    };

    // Queues before rules: nothing is sent to where nobody listens.
    let pass_when_away = enforce.on_unavailable.is_allow();
    let enforcing = Enforcing {
        link: link.clone(),
        on_unavailable: enforce.on_unavailable,
        other_protocols: enforce.other_protocols,
        timeout: enforce.timeout(),
        cache_entries: enforce.cache_entries as usize,
        held: holding,
        metrics: metrics.clone(),
        log: log.clone(),
    };
    for number in enforce.deciding() {
        let socket = Socket::open(number, enforce.queue_length, pass_when_away)?;
        let enforcing = enforcing.clone();
        on_a_thread(parts, format!("queue-{number}"), async move || {
            Worker::new(enforcing, socket)?.run().await
        })?;
    }
    let refusing = Socket::open(enforce.refusing(), enforce.queue_length, false)?;
    let counting = metrics.clone();
    on_a_thread(parts, "refused".to_owned(), async move || refuse(refusing, counting, log).await)?;
    on_a_thread(parts, "flow-log".to_owned(), async move || {
        flow_log::run(records, sink, asked).await;
        Ok(())
    })?;

    let cut = enforce.cut_connections.then(|| {
        let (cut, changed) = watch::channel(Against::default());
        let metrics = metrics.clone();
        parts.spawn(async move {
            cut::keep_cutting(changed, metrics).await;
            Ok(())
        });
        cut
    });
    let (requests, to_do) = mpsc::channel(REQUESTS);
    if let Some(path) = &config.cni_socket {
        let listener = api::bind(path).await?;
        let router = api::router(requests.clone());
        parts.spawn(async move { Ok(axum::serve(listener, router).await?) });
    }
    let firewall = Firewall::new(Targets {
        deciding: (enforce.queue, enforce.refusing() - 1),
        refusing: enforce.refusing(),
        pass_when_away,
        reverse_path: enforce.reverse_path,
    });
    let tell = Tell { held, client, cut, shown: shown.clone(), metrics: metrics.clone() };
    let agent = Agent::new(Link::open(link), to_do, firewall, file, tell)?;
    let resync = std::time::Duration::from_secs(enforce.resync_seconds);
    parts.spawn(async move {
        // As long as the agent runs, somebody may tell of pods.
        let _requests = requests;
        agent.run(resync).await
    });
    let queues = u32::from(enforce.queue)..u32::from(enforce.refusing()) + 1;
    let router = admin::router(Arc::new(Admin { shown, metrics, queues }));
    parts.spawn(async move { Ok(axum::serve(admin_listener, router).await?) });
    tracing::info!(admin = %admin_address, servers = config.server.join(" "), "started");
    Ok(())
}

/// Has a part run on a thread and a runtime of its own: nothing else is ever in its way.
fn on_a_thread<F>(
    parts: &mut JoinSet<anyhow::Result<()>>,
    name: String,
    part: impl FnOnce() -> F + Send + 'static,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (ended, how) = tokio::sync::oneshot::channel();
    let label = name.clone();
    thread::Builder::new().name(name).spawn(move || {
        // Whoever stops does not wait for it.
        let _ = ended.send(runtime.block_on(part()));
    })?;
    parts.spawn(async move { how.await.with_context(|| format!("the thread {label} has panicked"))? });
    Ok(())
}

/// Listens to ctrl-C and SIGTERM from now on; the future resolves once the process is told to stop.
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    })
}
