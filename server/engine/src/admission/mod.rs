//! Admission of pods under PodSecurityPolicy, as Kubernetes v1.24 had it: the last version that did.
//!
//! The way of a request: the object is read into a [view](pod) of the fields that policies look at, borrowed from the
//! request's bytes (or comes as one already); [`select`] tries the policies that the requester may use, each of which [fills in its
//! defaults](overlay) and then [looks at the outcome](evaluate), control by control ([`controls`]); the changes of the
//! policy that wins become a [JSON Patch](patch). A [ledger] tells, on demand, what came of every policy.

mod controls;
mod decision;
mod evaluate;
mod gc_update;
mod help;
mod index;
mod ledger;
mod overlay;
mod patch;
pub mod pod;
mod policy;
mod request;
mod select;

#[cfg(test)]
mod tests;

pub use decision::{
    Decision, Ledger, LedgerEntry, Outcome, PatchOperation, Reason, UseGrant, Violation, ViolationKind,
};
pub use index::Index;
pub use request::{AdmitRequest, InvalidRequest, Object, Operation, Phase};
