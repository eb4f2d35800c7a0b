//! What the cluster source tells whoever listens.

use std::time::Duration;

use gavel_engine::field::FieldError;
use gavel_engine::object::Kind;
use gavel_engine::{Change, ObjectKey};

/// How long before its end a watch is known to have shown everything.
pub const ENDED_SHOWS: Duration = Duration::from_secs(2);

/// Something the cluster source has to tell, about one kind.
#[derive(Debug)]
pub enum Event {
    /// The API server was heard from.
    Heard(Kind, Update),
    /// A watch has ended as it was asked to: everything up to [`ENDED_SHOWS`] ago has been heard.
    Ended(Kind),
    /// The watch is broken, and is tried again; what was known stays.
    Broken {
        /// Whose watch.
        kind: Kind,
        /// Why.
        reason: Breakage,
        /// In words.
        detail: String,
    },
}

/// How watches break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakage {
    /// The connection failed, or the API server refused.
    Failed,
    /// The connection is open, and nothing came over it for too long.
    Stalled,
    /// The API server no longer has the changes since the last one seen (410 Gone): everything is listed anew.
    Expired,
}

impl Breakage {
    /// Every way.
    pub const ALL: [Breakage; 3] = [Breakage::Failed, Breakage::Stalled, Breakage::Expired];

    /// For metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Breakage::Failed => "failed",
            Breakage::Stalled => "stalled",
            Breakage::Expired => "expired",
        }
    }
}

/// What was heard: what is new of one kind.
#[derive(Debug, Default)]
pub struct Update {
    /// The kind was listed whole: from now on it is known.
    pub listed: bool,
    /// The API server does not have the kind. Then `listed` is set, too.
    pub absent: bool,
    /// What leads from what was known to this.
    pub changes: Vec<Change>,
    /// The same for the store, where one is kept.
    pub stored: Vec<Stored>,
    /// The objects that could not be read, as they are now; `None`: as they were.
    pub set_aside: Option<Vec<SetAside>>,
    /// Everything that was written up to here is known; 0: nothing is said of that.
    pub resource_version: u64,
    /// The resourceVersions of the objects seen.
    pub written: Vec<u64>,
}

/// An object as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Which object.
    pub key: ObjectKey,
    /// JSON of the object; none: it is gone.
    pub json: Option<Vec<u8>>,
}

/// An object that could not be read, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Which object: `NetworkPolicy shop/web`.
    pub object: String,
    /// What is wrong with it.
    pub errors: Vec<FieldError>,
    /// What is used in its place.
    pub instead: Instead,
}

/// What is used in place of an object that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// The last version that could be read.
    LastGood,
    /// Nothing: what it grants, or lets pass, is not granted.
    Nothing,
    /// Of a NetworkPolicy: what it selects is isolated, and none of its rules lets anything pass.
    Isolation,
}

impl std::fmt::Display for Instead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Instead::LastGood => "the last version that could be read is used",
            Instead::Nothing => "it is left out, and grants nothing",
            Instead::Isolation => {
                "the pods it selects are isolated, and none of its rules lets anything pass"
            }
        })
    }
}
