//! Names of decisions.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Names decisions: 32 hexadecimal digits, no two the same, whichever process made them.
#[derive(Debug)]
pub(crate) struct DecisionIds {
    /// Random, and therefore this process's alone.
    process: u64,
    next: AtomicU64,
}

impl Default for DecisionIds {
    fn default() -> Self {
        // A hasher's keys come from the operating system's random numbers.
        let process = RandomState::new().hash_one((std::process::id(), std::time::SystemTime::now()));
        Self { process, next: AtomicU64::new(1) }
    }
}

impl DecisionIds {
    /// The next name.
    pub(crate) fn next(&self) -> String {
        format!("{:016x}{:016x}", self.process, self.next.fetch_add(1, Ordering::Relaxed))
    }
}
