//! How the sources are, for people: `GetSnapshot`, `/readyz` and the metrics show it.

use std::time::{Instant, SystemTime};

/// How a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It has not delivered yet.
    Pending,
    /// What it delivered last is whole.
    Synced,
    /// The last attempt failed; answers come from the last good state.
    Failing,
    /// The API server does not have the kind.
    Absent,
    /// Answers come from what an earlier process kept on disk; nothing was heard since.
    Restored,
}

/// Where objects come from, and how that is.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// `manifests`, or `cluster/` and a kind.
    pub name: String,
    /// How it is.
    pub state: SourceState,
    /// What is wrong, in a line.
    pub detail: String,
    /// When it last delivered a whole, good state.
    pub last_synced_at: Option<SystemTime>,
    /// When it was last heard from; only of sources that are expected to be heard from all the time.
    pub heard: Option<Instant>,
    /// Everything up to here has been taken over; 0: such numbers mean nothing to the source.
    pub resource_version: u64,
    /// What was refused, or taken with a warning.
    pub findings: Vec<Finding>,
}

impl SourceStatus {
    /// A source that has not delivered yet.
    pub fn pending(name: String) -> Self {
        Self {
            name,
            state: SourceState::Pending,
            detail: "not read yet".to_owned(),
            last_synced_at: None,
            heard: None,
            resource_version: 0,
            findings: Vec::new(),
        }
    }

    /// How many things were refused.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.is_error).count()
    }
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
