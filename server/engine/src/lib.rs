//! The decision engine of Gavel. Pure: no async, no I/O, no clock, no logging.
//!
//! Two formulas say it all:
//!
//! ```text
//! snapshot + changes  -> next snapshot        (snapshot::Snapshot::apply)
//! snapshot + question -> decision             (Snapshot::{admit, check_flow, authorize})
//! ```
//!
//! A [`Snapshot`] is immutable and cheap to clone; applying changes shares all that did not change. A decision is a
//! total, synchronous function of a snapshot and a question: what can go wrong is in its result.

pub mod admission;
pub mod field;
pub mod network;
pub mod object;
mod persist;
pub mod rbac;
pub mod selector;
pub mod snapshot;
mod text;

pub use object::{Change, Object, ObjectKey};
pub use snapshot::Snapshot;
