//! How fresh the snapshot is: when the source was last heard from, and what it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gavel_engine::object::Kind;

/// ResourceVersions of single writes that are remembered of a kind. Whoever asks for a write has just written it.
const REMEMBERED: usize = 4096;

/// When the snapshot was last known to be what its source has. Read with every answer, and so without a lock.
#[derive(Debug)]
pub struct Freshness {
    base: Instant,
    /// Milliseconds from `base`, and one more; 0: nothing is stale, since nothing can be, or nothing is there.
    current_until: AtomicU64,
}

impl Default for Freshness {
    fn default() -> Self {
        // A base in the past: what is restored from disk is older than this process.
        let now = Instant::now();
        let base = now.checked_sub(Duration::from_secs(3600 * 24 * 365)).unwrap_or(now);
        Self { base, current_until: AtomicU64::new(0) }
    }
}

impl Freshness {
    /// The snapshot was what the source had, then.
    pub fn set(&self, then: Instant) {
        let millis = u64::try_from(then.saturating_duration_since(self.base).as_millis()).unwrap_or(u64::MAX);
        self.current_until.store(millis.saturating_add(1), Ordering::Relaxed);
    }

    /// The snapshot is what the source has, until something else is heard.
    pub fn clear(&self) {
        self.current_until.store(0, Ordering::Relaxed);
    }

    /// How long ago the snapshot was last known to be what its source has.
    pub fn staleness(&self) -> Option<Duration> {
        let millis = self.current_until.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.base.elapsed().saturating_sub(Duration::from_millis(millis)))
    }
}

/// What the snapshot holds of a cluster: resourceVersions, which all kinds of an API server draw from one counter.
#[derive(Debug, Default)]
pub struct Versions {
    kinds: BTreeMap<Kind, Version>,
}

#[derive(Debug, Default)]
struct Version {
    /// Everything of the kind that was written up to here.
    until: u64,
    /// Single writes, the latest ones.
    written: BTreeSet<u64>,
}

impl Versions {
    /// The snapshot holds these writes.
    pub fn add(&mut self, writes: &Writes) {
        let version = self.kinds.entry(writes.kind).or_default();
        let until = writes.follow(version.until);
        if until < version.until {
            version.written.clear();
        }
        version.until = until;
        version.written.extend(&writes.written);
        while version.written.len() > REMEMBERED {
            version.written.pop_first();
        }
    }

    /// Up to where each kind is held whole.
    pub fn by_kind(&self) -> BTreeMap<Kind, u64> {
        let known = self.kinds.iter().filter(|(_, version)| version.until > 0);
        known.map(|(kind, version)| (*kind, version.until)).collect()
    }

    /// Whether the snapshot holds this write.
    pub fn include(&self, wanted: &WantedVersion) -> bool {
        let holds = |version: &Version| version.until >= wanted.resource_version;
        match wanted.kind {
            Some(kind) => self.kinds.get(&kind).is_some_and(holds),
            None => {
                !self.kinds.is_empty() && self.kinds.values().all(holds)
                    || self.kinds.values().any(|version| version.written.contains(&wanted.resource_version))
            }
        }
    }
}

/// Writes of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writes {
    /// The kind.
    pub kind: Kind,
    /// Everything that was written up to here; 0: nothing is said of that.
    pub until: u64,
    /// Single ones.
    pub written: Vec<u64>,
    /// Everything was listed: what was held before does not count. After an etcd was restored from a backup, numbers
    /// begin lower again.
    pub listed: bool,
}

impl Writes {
    /// Up to where all is held, after it was held up to `before`.
    pub fn follow(&self, before: u64) -> u64 {
        if self.listed && self.until > 0 { self.until } else { self.until.max(before) }
    }
}

/// A write that the snapshot has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedVersion {
    /// Of the object, as it was written.
    pub resource_version: u64,
    /// The object's kind, where it is told.
    pub kind: Option<Kind>,
}

/// How fresh somebody wants the snapshot to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A write that it has to hold.
    pub version: Option<WantedVersion>,
    /// The least revision.
    pub revision: Option<u64>,
    /// How long ago it may last have been known to be current.
    pub max_staleness: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(kind: Option<Kind>, resource_version: u64) -> WantedVersion {
        WantedVersion { resource_version, kind }
    }

    fn writes(kind: Kind, until: u64, written: impl IntoIterator<Item = u64>) -> Writes {
        Writes { kind, until, written: written.into_iter().collect(), listed: false }
    }

    #[test]
    fn a_write_is_held_by_kind_or_by_its_own_number() {
        let mut versions = Versions::default();
        assert!(!versions.include(&wanted(None, 1)));
        versions.add(&writes(Kind::Role, 10, [9, 10]));
        versions.add(&writes(Kind::Pod, 20, [20]));
        for (kind, version, held) in [
            (Some(Kind::Role), 10, true),
            (Some(Kind::Role), 11, false),
            (Some(Kind::Pod), 11, true),
            (Some(Kind::Namespace), 1, false),
            // Every kind is past it.
            (None, 5, true),
            // It was seen.
            (None, 20, true),
            // Of which kind is 15? If of Role, it is not there yet.
            (None, 15, false),
            (None, 21, false),
        ] {
            assert_eq!(versions.include(&wanted(kind, version)), held, "{kind:?} {version}");
        }
        assert_eq!(versions.by_kind(), BTreeMap::from([(Kind::Role, 10), (Kind::Pod, 20)]));
    }

    #[test]
    fn only_the_latest_writes_are_remembered() {
        let mut versions = Versions::default();
        versions.add(&writes(Kind::Pod, 0, []));
        versions.add(&writes(Kind::Role, 0, 1..=5000));
        assert!(!versions.include(&wanted(None, 1)));
        assert!(versions.include(&wanted(None, 5000)));
        assert!(versions.by_kind().is_empty());
    }

    #[test]
    fn a_list_from_an_older_etcd_takes_back_what_was_held() {
        let mut versions = Versions::default();
        versions.add(&writes(Kind::Role, 100, [99, 100]));
        versions.add(&writes(Kind::Role, 50, [50]));
        assert!(versions.include(&wanted(Some(Kind::Role), 100)), "an event out of order takes nothing back");
        versions.add(&Writes { listed: true, ..writes(Kind::Role, 40, [40]) });
        assert!(!versions.include(&wanted(Some(Kind::Role), 41)));
        assert!(!versions.include(&wanted(None, 99)));
        assert!(versions.include(&wanted(None, 40)));
    }

    #[test]
    fn staleness_counts_from_when_it_was_known_to_be_current() {
        let freshness = Freshness::default();
        assert_eq!(freshness.staleness(), None);
        freshness.set(Instant::now().checked_sub(Duration::from_secs(60)).unwrap());
        let staleness = freshness.staleness().unwrap();
        assert!(
            staleness >= Duration::from_secs(59) && staleness < Duration::from_secs(600),
            "{staleness:?}"
        );
        freshness.clear();
        assert_eq!(freshness.staleness(), None);
    }
}
