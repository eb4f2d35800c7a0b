//! The publisher: the one place that holds the current snapshot, and the one writer of it.
//!
//! Readers load the snapshot once a request and keep it as long as they like; publishing swaps a pointer and never
//! waits for them. The state of the sources is kept beside it: a source that fails changes no answer, it only shows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use gavel_engine::object::Kind;
use gavel_engine::{Change, Snapshot};
use tokio::sync::{broadcast, watch};

use crate::freshness::{Freshness, Versions, Wanted, Writes};
use crate::status::{Finding, SourceState, SourceStatus};

/// Revisions that a slow reader of them may be behind before some are left out for it.
const REVISIONS: usize = 1024;

/// Names of the sources of a cluster begin so.
pub(crate) const CLUSTER: &str = "cluster/";

/// A snapshot, and when it was made.
#[derive(Debug)]
pub struct Published {
    /// What decisions are made from.
    pub snapshot: Snapshot,
    /// When it was published, for people.
    pub created_at: SystemTime,
    /// When it was published, for ages.
    pub created: Instant,
    /// Kinds of the objects that changed since the revision before.
    pub changed: Vec<Kind>,
    /// Of a cluster: everything of a kind that was written up to this resourceVersion is in the snapshot.
    pub versions: BTreeMap<Kind, u64>,
}

/// Holds the current snapshot.
#[derive(Debug)]
pub struct Publisher {
    current: ArcSwapOption<Published>,
    instance: String,
    follows_cluster: bool,
    sources: Mutex<BTreeMap<String, SourceStatus>>,
    freshness: Freshness,
    versions: Mutex<Versions>,
    /// Counts whatever may let somebody who waits go on.
    progress: watch::Sender<u64>,
    revisions: broadcast::Sender<Arc<Published>>,
    /// Who is told how long building a snapshot took.
    built: OnceLock<Built>,
}

/// Is told how long building a snapshot took.
struct Built(Box<dyn Fn(Duration) + Send + Sync>);

impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Built")
    }
}

impl Publisher {
    /// A publisher that has nothing to show yet, of these sources.
    pub fn new(sources: impl IntoIterator<Item = String>) -> Self {
        let sources: BTreeMap<String, SourceStatus> =
            sources.into_iter().map(|name| (name.clone(), SourceStatus::pending(name))).collect();
        Self {
            current: ArcSwapOption::empty(),
            instance: instance(),
            follows_cluster: sources.keys().any(|name| name.starts_with(CLUSTER)),
            freshness: Freshness::default(),
            sources: Mutex::new(sources),
            versions: Mutex::new(Versions::default()),
            progress: watch::Sender::new(0),
            revisions: broadcast::Sender::new(REVISIONS),
            built: OnceLock::new(),
        }
    }

    /// The current snapshot; none before every source has delivered once.
    pub fn current(&self) -> Option<arc_swap::Guard<Option<Arc<Published>>>> {
        let guard = self.current.load();
        guard.is_some().then_some(guard)
    }

    /// The same, to be kept.
    pub fn published(&self) -> Option<Arc<Published>> {
        self.current.load_full()
    }

    /// Known by this as long as the process lives; revisions of different instances do not compare.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Whether the source is a cluster, which has resourceVersions, and is expected to be heard from all the time.
    pub fn follows_cluster(&self) -> bool {
        self.follows_cluster
    }

    /// Folds changes in and publishes what comes out, which then holds these writes. Called by one task alone.
    pub fn publish(&self, changes: Vec<Change>, writes: &[Writes]) -> u64 {
        let changed = kinds_of(&changes);
        let started = Instant::now();
        let mut next = self.next();
        next.draft(changes);
        self.built(started.elapsed());
        self.publish_draft(next, changed, writes)
    }

    /// Has somebody told how long building each snapshot takes; the first one who asks.
    pub fn on_built(&self, tell: impl Fn(Duration) + Send + Sync + 'static) {
        let _ = self.built.set(Built(Box::new(tell)));
    }

    /// Building a snapshot took so long.
    pub fn built(&self, took: Duration) {
        if let Some(Built(tell)) = self.built.get() {
            tell(took);
        }
    }

    /// A draft of the next snapshot: so far as the current one is.
    pub fn next(&self) -> Snapshot {
        let last = self.current.load_full();
        let empty = Snapshot::empty();
        last.as_ref().map_or(&empty, |published| &published.snapshot).apply([])
    }

    /// Publishes a draft, in which objects of these kinds changed. Called by one task alone.
    pub fn publish_draft(&self, snapshot: Snapshot, changed: Vec<Kind>, writes: &[Writes]) -> u64 {
        let revision = snapshot.revision();
        let mut versions = self.versions().by_kind();
        for write in writes.iter().filter(|write| write.until > 0) {
            let version = versions.entry(write.kind).or_default();
            *version = write.follow(*version);
        }
        let (created_at, created) = (SystemTime::now(), Instant::now());
        let published = Arc::new(Published { snapshot, created_at, created, changed, versions });
        // Before it is told of: whoever hears of it finds it.
        self.current.store(Some(published.clone()));
        self.advance(writes);
        // Nobody listens: nobody is missing it.
        let _ = self.revisions.send(published);
        revision
    }

    /// The current snapshot holds these writes.
    pub fn advance(&self, writes: &[Writes]) {
        let mut versions = self.versions();
        for write in writes {
            versions.add(write);
        }
        drop(versions);
        self.moved();
    }

    /// What the current snapshot holds of a cluster.
    pub fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How fresh the snapshot is.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// Something moved that somebody may wait for.
    pub fn moved(&self) {
        self.progress.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Tells when something moved.
    pub fn progress(&self) -> watch::Receiver<u64> {
        self.progress.subscribe()
    }

    /// Each revision from now on; and the current one.
    pub fn revisions(&self) -> (Option<Arc<Published>>, broadcast::Receiver<Arc<Published>>) {
        // In this order: nothing falls between, though one may come twice.
        let receiver = self.revisions.subscribe();
        (self.current.load_full(), receiver)
    }

    /// Whether the current snapshot is as fresh as somebody wants it.
    pub fn satisfies(&self, wanted: &Wanted) -> bool {
        let Some(revision) = self.current().and_then(|guard| guard.as_ref().map(|p| p.snapshot.revision()))
        else {
            return false;
        };
        wanted.revision.is_none_or(|wanted| revision >= wanted)
            && wanted.version.as_ref().is_none_or(|wanted| self.versions().include(wanted))
            && wanted.max_staleness.is_none_or(|most| self.staleness().unwrap_or_default() <= most)
    }

    /// How long ago the snapshot was last known to be what its sources have; none: it is, or there is none yet.
    pub fn staleness(&self) -> Option<Duration> {
        self.freshness.staleness()
    }

    /// How the sources are.
    pub fn sources(&self) -> Vec<SourceStatus> {
        self.lock_sources().values().cloned().collect()
    }

    /// A source is now like this.
    pub fn set_source(&self, name: &str, change: impl FnOnce(&mut SourceStatus)) {
        if let Some(source) = self.lock_sources().get_mut(name) {
            change(source);
        }
    }

    /// A source that delivers all at once has delivered: everything is whole.
    pub fn synced(&self, name: &str, findings: Vec<Finding>) {
        self.set_source(name, |source| {
            source.state = SourceState::Synced;
            source.detail = String::new();
            source.last_synced_at = Some(SystemTime::now());
            source.findings = findings;
        });
        self.moved();
    }

    fn lock_sources(&self) -> MutexGuard<'_, BTreeMap<String, SourceStatus>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Kinds of the objects that changed.
pub(crate) fn kinds_of(changes: &[Change]) -> Vec<Kind> {
    let mut seen = Kind::ALL.map(|kind| (kind, false));
    for change in changes {
        let kind = match change {
            Change::Upsert(object) => object.kind(),
            Change::Remove(key) => key.kind,
        };
        if let Some(seen) = seen.iter_mut().find(|(known, _)| *known == kind) {
            seen.1 = true;
        }
    }
    seen.into_iter().filter_map(|(kind, seen)| seen.then_some(kind)).collect()
}

/// A name that no other process has.
fn instance() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{:016x}", RandomState::new().hash_one((std::process::id(), nanos)))
}
