//! The snapshot: everything decisions are made from, immutable, with one revision.
//!
//! [`Snapshot::apply`] folds changes into the next snapshot. Each part keeps persistent tables, so that the next
//! snapshot shares with the last all that did not change, and the cost of a change does not grow with the cluster.

use std::collections::BTreeMap;

use crate::admission::{self, AdmitRequest};
use crate::network::{self, FlowDecision, FlowError, FlowRequest};
use crate::object::{Change, Kind, ObjectKey};
use crate::rbac::{self, Action, Authorization, User};

/// What the fold has to say about an object: it takes part in decisions, but not as its author may think.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which object.
    pub object: ObjectKey,
    /// Path of the field; empty for the object as a whole.
    pub field: String,
    /// What is wrong, and what follows from it.
    pub message: String,
}

/// Everything decisions are made from. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    revision: u64,
    rbac: rbac::Index,
    admission: admission::Index,
    network: network::Index,
    inventory: imbl::OrdMap<ObjectKey, Vec<Diagnostic>>,
    counts: BTreeMap<Kind, u64>,
}

impl Snapshot {
    /// A snapshot of nothing, with revision 0.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The next snapshot: this one with `changes` folded in, in their order. Its revision is one higher.
    #[must_use]
    pub fn apply(&self, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut next = self.clone();
        next.revision += 1;
        next.draft(changes);
        next
    }

    /// Folds `changes` into a snapshot that nobody has seen yet, under the revision it has.
    pub fn draft(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            self.fold(&change);
        }
    }

    fn fold(&mut self, change: &Change) {
        self.rbac.apply(change);
        let mut diagnostics = self.admission.apply(change);
        diagnostics.extend(self.network.apply(change));
        match change {
            Change::Upsert(object) => {
                let key = object.key();
                let kind = key.kind;
                if self.inventory.insert(key, diagnostics).is_none() {
                    *self.counts.entry(kind).or_default() += 1;
                }
            }
            Change::Remove(key) => {
                if self.inventory.remove(key).is_some() {
                    *self.counts.entry(key.kind).or_default() -= 1;
                }
            }
        }
    }

    /// Counts the changes that led here.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Objects by kind; kinds of which there are none are left out.
    pub fn counts(&self) -> impl Iterator<Item = (Kind, u64)> + '_ {
        self.counts.iter().filter(|(_, count)| **count > 0).map(|(kind, count)| (*kind, *count))
    }

    /// Whether an object of this key is there.
    pub fn contains(&self, key: &ObjectKey) -> bool {
        self.inventory.contains_key(key)
    }

    /// What the fold has to say about the objects that are there.
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        self.inventory.values().flatten()
    }

    /// RBAC: may `user` do this?
    pub fn authorize(&self, user: &User, action: &Action<'_>) -> Authorization {
        self.rbac.authorize(user, action)
    }

    /// Admission: may this pod be created or updated, by this user?
    ///
    /// # Errors
    /// See [`admission::InvalidRequest`].
    pub fn admit(&self, request: AdmitRequest<'_>) -> Result<admission::Decision, admission::InvalidRequest> {
        self.admission.admit(&self.rbac, request)
    }

    /// Flows: may this end open a connection to that one?
    ///
    /// # Errors
    /// See [`FlowError`].
    pub fn check_flow(&self, request: &FlowRequest<'_>) -> Result<FlowDecision<'_>, FlowError> {
        self.network.check_flow(request)
    }

    /// The network's part.
    pub fn network(&self) -> &network::Index {
        &self.network
    }

    /// RBAC's part.
    pub fn rbac(&self) -> &rbac::Index {
        &self.rbac
    }
}
