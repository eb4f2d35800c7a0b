//! Sources: where objects come from. They turn the outside world into [`Change`](gavel_engine::Change)s, and know
//! nothing of snapshots.
//!
//! The words that every source shares are here: where something stands ([`Place`], [`Located`]), what is wrong with it
//! ([`ManifestError`]), and what a source tells whoever listens ([`Event`]). A [`Source`] keeps the last good state;
//! what is bad never replaces it.

pub mod cluster;
mod digests;
pub mod manifests;
mod place;
mod state;

pub use place::{Located, ManifestError, Place};
pub use state::{Event, Source};
