//! The publisher: the one place that holds the current snapshot, and the one writer of it.
//!
//! Readers load the snapshot once a request and keep it as long as they like; publishing swaps a pointer and never
//! waits for them. The state of the sources is kept beside it: a source that fails changes no answer, it only shows.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwapOption;
use gavel_engine::{Change, Snapshot};
use tokio::sync::watch;

/// A snapshot, and when it was made.
#[derive(Debug)]
pub struct Published {
    /// What decisions are made from.
    pub snapshot: Snapshot,
    /// When it was published, for people.
    pub created_at: SystemTime,
    /// When it was published, for ages.
    pub created: Instant,
}

/// How a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It has not delivered yet.
    Pending,
    /// What it delivered last is whole.
    Synced,
    /// The last attempt failed; answers come from the last good state.
    Failing,
}

/// Where the objects come from, and how that is.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// `manifests`, ….
    pub name: &'static str,
    /// How it is.
    pub state: SourceState,
    /// What is wrong, in a line.
    pub detail: String,
    /// When it last delivered a whole, good state.
    pub last_synced_at: Option<SystemTime>,
    /// What was refused, or taken with a warning.
    pub findings: Vec<Finding>,
}

/// Something a source has to say about what it read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// Whether it was refused (or else: taken, with a warning).
    pub is_error: bool,
    /// Which object, if one could be made out.
    pub object: String,
    /// Where it was read.
    pub file: String,
    /// Which document of the file, from 1; 0: the file as a whole.
    pub document: u32,
    /// Which line of the file, from 1; 0: unknown.
    pub line: u32,
    /// Path of the field; empty: the object as a whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

/// Holds the current snapshot.
#[derive(Debug)]
pub struct Publisher {
    current: ArcSwapOption<Published>,
    source: Mutex<SourceStatus>,
    ready: watch::Sender<bool>,
}

impl Publisher {
    /// A publisher that has nothing to show yet.
    pub fn new(source: &'static str) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            source: Mutex::new(SourceStatus {
                name: source,
                state: SourceState::Pending,
                detail: "not read yet".to_owned(),
                last_synced_at: None,
                findings: Vec::new(),
            }),
            ready: watch::Sender::new(false),
        }
    }

    /// The current snapshot; none before the source has delivered once.
    pub fn current(&self) -> Option<arc_swap::Guard<Option<Arc<Published>>>> {
        let guard = self.current.load();
        guard.is_some().then_some(guard)
    }

    /// Folds changes in and publishes what comes out. Called by one task alone.
    pub fn publish(&self, changes: Vec<Change>, findings: Vec<Finding>) -> u64 {
        let last = self.current.load_full();
        let empty = Snapshot::empty();
        let snapshot = last.as_ref().map_or(&empty, |published| &published.snapshot).apply(changes);
        let revision = snapshot.revision();
        let created_at = SystemTime::now();
        self.current.store(Some(Arc::new(Published { snapshot, created_at, created: Instant::now() })));
        self.set_source(|source| {
            source.state = SourceState::Synced;
            source.detail = String::new();
            source.last_synced_at = Some(created_at);
            source.findings = findings;
        });
        self.ready.send_replace(true);
        revision
    }

    /// The source was read again, and says what it said before.
    pub fn unchanged(&self) {
        self.set_source(|source| {
            source.state = SourceState::Synced;
            source.detail = String::new();
            source.last_synced_at = Some(SystemTime::now());
            source.findings.retain(|finding| !finding.is_error);
        });
    }

    /// The source could not be read. The snapshot stays.
    pub fn failed(&self, detail: String, findings: Vec<Finding>) {
        self.set_source(|source| {
            source.state = SourceState::Failing;
            source.detail = detail;
            source.findings = findings;
        });
    }

    /// How the source is.
    pub fn source(&self) -> SourceStatus {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the source has delivered.
    ///
    /// # Errors
    /// Never while the publisher is there.
    pub async fn until_ready(&self) -> Result<(), watch::error::RecvError> {
        self.ready.subscribe().wait_for(|ready| *ready).await.map(|_| ())
    }

    fn set_source(&self, change: impl FnOnce(&mut SourceStatus)) {
        change(&mut self.source.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
