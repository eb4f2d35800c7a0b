//! What callers may call: static grants, and RBAC of a snapshot.

use std::sync::atomic::{AtomicU64, Ordering};

use gavel_engine::Snapshot;
use gavel_engine::rbac::{Action, User};

use crate::{Call, Grant};

/// What callers may call.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    grants: Vec<Grant>,
}

impl Rights {
    /// By these grants, and by RBAC.
    pub fn new(grants: Vec<Grant>) -> Self {
        Self { grants }
    }

    /// Whether a user may make a call. Without a snapshot only static grants count.
    pub fn may(&self, user: &User, call: Call, snapshot: Option<&Snapshot>) -> bool {
        self.grants.iter().any(|grant| grant.covers(user, call))
            || snapshot.is_some_and(|snapshot| is_granted(snapshot, user, call))
    }
}

fn is_granted(snapshot: &Snapshot, user: &User, call: Call) -> bool {
    let (verb, resource) = call.attributes();
    let action = Action::Resource {
        verb,
        namespace: "",
        api_group: Call::API_GROUP,
        resource,
        subresource: "",
        name: "",
    };
    snapshot.authorize(user, &action).allowed
}

/// What one caller may call, remembered for one revision of the snapshot.
///
/// One word holds the revision, which calls were asked for, and which of them are allowed. Whoever finds another revision
/// starts anew; requests that hold different snapshots at the same time may undo each other's work, never each other's
/// answer.
#[derive(Debug, Default)]
pub struct CachedRights(AtomicU64);

/// Bits of a set of calls.
const CALLS: u32 = Call::ALL.len() as u32;
const ALLOWED: u32 = CALLS;
const REVISION: u32 = 2 * CALLS;

impl CachedRights {
    /// As [`Rights::may`], of the same rights and the same user each time.
    pub fn may(&self, rights: &Rights, user: &User, call: Call, snapshot: Option<&Snapshot>) -> bool {
        // A revision that does not fit is asked for each time; at one a microsecond that takes a hundred years.
        let Some(held) = snapshot.filter(|snapshot| snapshot.revision() >> (64 - REVISION) == 0) else {
            return rights.may(user, call, snapshot);
        };
        let revision = held.revision() << REVISION;
        let known = self.0.load(Ordering::Relaxed);
        // Nothing else is published by this word, so that its order against other memory does not matter.
        let is_current = known >> REVISION == held.revision();
        if is_current && known & call.bit() != 0 {
            return known & (call.bit() << ALLOWED) != 0;
        }
        let allowed = rights.may(user, call, snapshot);
        let learned = call.bit() | if allowed { call.bit() << ALLOWED } else { 0 };
        let before = if is_current { known } else { revision };
        self.0.store(before | learned, Ordering::Relaxed);
        allowed
    }
}
