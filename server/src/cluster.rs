//! Follows a cluster: what its watches tell is published, stored, and told of.
//!
//! Nothing is published before every kind has been listed once, since policies without the grants to use them, or
//! pods without the policies that isolate them, would give wrong answers. From then on each kind goes its own way:
//! what is broken stays as it was last known, and shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use gavel_engine::object::Kind;
use gavel_engine::{Change, Object, Snapshot};
use gavel_source::cluster::store::{Restored, Store};
use gavel_source::cluster::{
    Breakage, ENDED_SHOWS, Event, SetAside, Stored, Update, WATCHED, WatchOptions, client, watch,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::freshness::Writes;
use crate::keeper::{Kept, keeper};
use crate::metrics::Metrics;
use crate::publisher::{CLUSTER, Publisher, kinds_of};
use crate::status::{Finding, SourceState};

/// Updates that are published together, at most: under a storm of changes a snapshot each would be wasted.
const TOGETHER: usize = 512;

/// Changes that are folded in where they come; more of them are no work for a thread that others wait for.
const FEW: usize = 64;

/// Name of the source of a kind.
pub(crate) fn source(kind: Kind) -> String {
    format!("{CLUSTER}{kind}")
}

/// Names of all sources of a cluster.
pub(crate) fn sources() -> impl Iterator<Item = String> {
    WATCHED.into_iter().map(source)
}

/// Watches a cluster until told to stop.
///
/// # Errors
/// When the configuration makes no client, or the state directory cannot be used. An API server that is not there is
/// no error: it is waited for.
pub(crate) async fn follow(
    config: Config,
    publisher: Arc<Publisher>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let client =
        client(config.kubeconfig.as_deref(), config.context.as_deref()).await.context("--cluster")?;
    let store = match config.state_dir {
        Some(directory) => {
            let opened = tokio::task::spawn_blocking(move || Store::open(&directory)).await?;
            Some(opened.context("--state-dir")?)
        }
        None => None,
    };
    let mut keeping = JoinSet::new();
    let mut follower = Follower::new(publisher.clone(), metrics.clone());
    let mut restored = Vec::new();
    if let Some((store, stored)) = store {
        restored = follower.restore(stored).await?;
        let (kept, keep) = keeper(Arc::new(store), publisher, metrics);
        follower.kept = Some(kept);
        keeping.spawn(keep);
    }
    follower.draft = Some(follower.publisher.next());
    let options = WatchOptions {
        watch_seconds: config.watch_seconds,
        streams_lists: config.streaming_lists,
        stores: follower.kept.is_some(),
    };
    let (mut events, mut tasks) = watch(&client, restored, options);
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => break,
            event = events.recv() => event,
            // They only end when nobody listens: one that ends before has panicked.
            Some(ended) = tasks.join_next() => {
                ended.context("a watch ended")?;
                continue;
            }
        };
        let Some(event) = event else { anyhow::bail!("the cluster is no longer watched") };
        let mut batch = vec![event];
        while batch.len() < TOGETHER
            && let Ok(event) = events.try_recv()
        {
            batch.push(event);
        }
        follower.take(batch).await?;
    }
    tasks.shutdown().await;
    drop(follower);
    while let Some(kept) = keeping.join_next().await {
        kept??;
    }
    Ok(())
}

/// What is known of each kind, and what has not been published yet.
struct Follower {
    publisher: Arc<Publisher>,
    metrics: Arc<Metrics>,
    /// Takes what is to be kept on disk.
    kept: Option<Kept>,
    /// When each kind was last heard from; kinds that were not listed in this process are missing.
    heard: BTreeMap<Kind, Instant>,
    pending: Batch,
    /// What was listed so far; it is published once everything was listed, and from then on there is none.
    draft: Option<Snapshot>,
    /// How long that took so far.
    drafting: Duration,
}

/// What several updates come to.
#[derive(Debug, Default)]
struct Batch {
    changes: Vec<Change>,
    writes: Vec<Writes>,
    stored: Vec<Stored>,
}

impl Follower {
    fn new(publisher: Arc<Publisher>, metrics: Arc<Metrics>) -> Self {
        let pending = Batch::default();
        Self {
            publisher,
            metrics,
            kept: None,
            heard: BTreeMap::new(),
            pending,
            draft: None,
            drafting: Duration::ZERO,
        }
    }

    /// Publishes what an earlier process kept, if that was whole.
    async fn restore(&mut self, restored: Restored) -> anyhow::Result<Vec<Object>> {
        let Restored { objects, heard, unreadable } = restored;
        let Some(heard) = heard else { return Ok(Vec::new()) };
        for object in unreadable {
            tracing::warn!(object, "stored, and can no longer be read: left out");
        }
        let age = heard.elapsed().unwrap_or_default();
        self.publisher.freshness().set(Instant::now().checked_sub(age).unwrap_or_else(Instant::now));
        let changes = objects.iter().cloned().map(Change::Upsert).collect();
        let revision = self.publish(changes, Vec::new()).await?;
        for kind in WATCHED {
            self.publisher.set_source(&source(kind), |status| {
                status.state = SourceState::Restored;
                status.detail = "answering from what was kept on disk".to_owned();
                status.last_synced_at = Some(heard);
            });
        }
        self.publisher.moved();
        tracing::info!(revision, objects = objects.len(), ?age, "restored from disk");
        Ok(objects)
    }

    async fn take(&mut self, events: Vec<Event>) -> anyhow::Result<()> {
        for event in events {
            match event {
                Event::Heard(kind, update) => self.heard(kind, update),
                Event::Ended(kind) => self.ended(kind),
                Event::Broken { kind, reason, detail } => {
                    self.metrics.watch_broke(kind, reason);
                    self.broken(kind, reason, detail);
                }
            }
        }
        if let Some(draft) = self.draft.take() {
            let listed = std::mem::take(&mut self.pending.changes);
            let (draft, took) = fold(draft, listed).await?;
            self.draft = Some(draft);
            self.drafting += took;
        }
        if self.heard.len() < WATCHED.len() {
            return Ok(());
        }
        let Batch { changes, writes, stored } = std::mem::take(&mut self.pending);
        if let Some(draft) = self.draft.take() {
            self.publisher.built(self.drafting);
            let revision = self.publisher.publish_draft(draft, WATCHED.to_vec(), &writes);
            tracing::info!(revision, "everything is listed, first snapshot published");
        } else if changes.is_empty() {
            self.publisher.advance(&writes);
        } else {
            let count = changes.len();
            let revision = self.publish(changes, writes).await?;
            tracing::debug!(revision, changes = count, "snapshot published");
        }
        if let Some(oldest) = self.heard.values().min() {
            self.publisher.freshness().set(*oldest);
            self.publisher.moved();
        }
        if let Some(kept) = &self.kept {
            kept.send(stored).await.context("nothing is kept on disk any more")?;
        }
        Ok(())
    }

    async fn publish(&self, changes: Vec<Change>, writes: Vec<Writes>) -> anyhow::Result<u64> {
        let changed = kinds_of(&changes);
        let (next, took) = fold(self.publisher.next(), changes).await?;
        self.publisher.built(took);
        Ok(self.publisher.publish_draft(next, changed, &writes))
    }

    fn heard(&mut self, kind: Kind, update: Update) {
        let Update { listed, absent, changes, stored, set_aside, resource_version, written } = update;
        let now = Instant::now();
        self.pending.changes.extend(changes);
        self.pending.stored.extend(stored);
        let writes = Writes { kind, until: resource_version, written, listed };
        if listed || self.heard.contains_key(&kind) {
            self.heard.insert(kind, now);
        }
        let is_known = self.heard.contains_key(&kind);
        self.publisher.set_source(&source(kind), |status| {
            if let Some(set_aside) = set_aside {
                for aside in &set_aside {
                    tracing::warn!(object = aside.object, instead = %aside.instead, "an object cannot be read");
                }
                status.findings = set_aside.into_iter().flat_map(findings).collect();
            }
            if !is_known {
                return;
            }
            (status.state, status.detail) = if absent {
                (SourceState::Absent, "the API server does not have this kind".to_owned())
            } else if listed || status.state != SourceState::Absent {
                (SourceState::Synced, String::new())
            } else {
                (status.state, std::mem::take(&mut status.detail))
            };
            status.last_synced_at = Some(SystemTime::now());
            status.heard = Some(now);
            status.resource_version = writes.follow(status.resource_version);
        });
        self.pending.writes.push(writes);
    }

    /// A watch ended as it was asked to, and so has shown all there was until shortly before.
    fn ended(&mut self, kind: Kind) {
        let Some(until) = Instant::now().checked_sub(ENDED_SHOWS) else { return };
        let Some(heard) = self.heard.get_mut(&kind) else { return };
        *heard = until.max(*heard);
        self.publisher.set_source(&source(kind), |status| {
            status.heard = status.heard.max(Some(until));
            if status.state == SourceState::Failing {
                status.state = SourceState::Synced;
                status.detail = String::new();
            }
        });
    }

    fn broken(&self, kind: Kind, reason: Breakage, detail: String) {
        self.publisher.set_source(&source(kind), |status| {
            // Told once, not for every attempt to mend it.
            if status.detail == detail {
                tracing::debug!(%kind, reason = reason.as_str(), detail, "the watch is still broken");
            } else {
                tracing::warn!(%kind, reason = reason.as_str(), detail, "the watch is broken");
            }
            if matches!(status.state, SourceState::Synced | SourceState::Absent) {
                status.state = SourceState::Failing;
            }
            status.detail = detail;
        });
    }
}

/// Folds, and tells how long it took. Folding thousands of objects takes a while; the other tasks of this thread are not
/// to wait for it.
async fn fold(mut draft: Snapshot, changes: Vec<Change>) -> anyhow::Result<(Snapshot, Duration)> {
    let is_quick = changes.len() < FEW;
    let fold = move || {
        let started = Instant::now();
        draft.draft(changes);
        (draft, started.elapsed())
    };
    Ok(if is_quick { fold() } else { tokio::task::spawn_blocking(fold).await? })
}

/// One finding an error of the object; at least one, so that none goes unnamed.
fn findings(aside: SetAside) -> Vec<Finding> {
    let SetAside { object, errors, instead } = aside;
    errors
        .into_iter()
        .map(|error| Finding {
            is_error: true,
            object: object.clone(),
            field: error.path,
            message: format!("{}; {instead}", error.message),
            ..Finding::default()
        })
        .collect()
}
