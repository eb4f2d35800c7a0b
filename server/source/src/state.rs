//! The last good state of a source, and what it tells of it.

use gavel_engine::{Change, Object, ObjectKey};

use crate::ManifestError;
use crate::digests::Digests;
use crate::manifests::Reading;

/// What a source has to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The objects are others now. The first event of a source that could be read is of this kind, even without
    /// changes.
    Changed {
        /// What leads from the last good state to this one; removals first.
        changes: Vec<Change>,
        /// What may be wrong.
        warnings: Vec<ManifestError>,
    },
    /// What was read is bad: the last good state stays.
    Failed {
        /// Everything that is wrong.
        errors: Vec<ManifestError>,
    },
    /// Something was touched, and the objects are still those of the last good state.
    Unchanged,
}

/// The last good state of a source, as far as it is needed to tell what changes it: there may be many objects, and the
/// snapshot has them already.
#[derive(Clone, Debug, Default)]
pub struct Source {
    digests: Digests,
    is_loaded: bool,
}

impl Source {
    /// A source that has not been read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there has been a good reading.
    pub fn is_loaded(&self) -> bool {
        self.is_loaded
    }

    /// Takes a reading over, if it is good.
    pub fn take(&mut self, reading: Reading) -> Event {
        if !reading.errors.is_empty() {
            return Event::Failed { errors: reading.errors };
        }
        let mut objects: Vec<(ObjectKey, Object)> =
            reading.objects.into_iter().map(|object| (object.item.key(), object.item)).collect();
        objects.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut digests = self.digests.successor();
        let mut upserts = Vec::new();
        for (key, object) in objects {
            digests.push(&key, &object);
            if !digests.last_is_in(&self.digests) {
                upserts.push(Change::Upsert(object));
            }
        }
        digests.shrink();
        let mut changes: Vec<Change> =
            self.digests.not_in(&digests).into_iter().map(Change::Remove).collect();
        changes.append(&mut upserts);
        self.digests = digests;
        if changes.is_empty() && self.is_loaded {
            return Event::Unchanged;
        }
        self.is_loaded = true;
        Event::Changed { changes, warnings: reading.warnings }
    }
}
