//! How certificates and tokens are, for whoever operates the client.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use gavel_tls::Event;

/// How certificates and tokens are at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityStatus {
    /// Whether servers are asked over TLS.
    pub has_tls: bool,
    /// Whether a token is sent.
    pub has_token: bool,
    /// Until when one's own certificate is good.
    pub certificate_expires: Option<SystemTime>,
    /// How often changed files were taken.
    pub reloads: u64,
    /// How often changed files could not be used.
    pub reload_failures: u64,
    /// Why the newest files are not used, as long as they are not.
    pub files: Option<String>,
    /// What the last server said that refused the credentials (UNAUTHENTICATED or PERMISSION_DENIED), until one takes
    /// them.
    pub refused: Option<String>,
}

/// What is counted and kept for it.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    reloads: AtomicU64,
    failures: AtomicU64,
    /// The last failure of each set of files.
    failed: Mutex<Vec<(&'static str, String)>>,
    is_refused: AtomicBool,
    refused: Mutex<Option<String>>,
}

impl Watched {
    /// Takes the events of one set of files.
    pub(crate) fn events(watched: &Arc<Self>, what: &'static str) -> impl Fn(Event) + Send + Sync + use<> {
        let watched = watched.clone();
        move |event| {
            event.log(what);
            match event {
                Event::Reloaded => watched.reloaded(what),
                Event::Failed(why) => watched.failed(what, why),
                Event::Warning(_) => {}
            }
        }
    }

    fn reloaded(&self, what: &str) {
        self.reloads.fetch_add(1, Ordering::Relaxed);
        lock(&self.failed).retain(|(whose, _)| *whose != what);
    }

    fn failed(&self, what: &'static str, why: String) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut failed = lock(&self.failed);
        failed.retain(|(whose, _)| *whose != what);
        failed.push((what, why));
    }

    pub(crate) fn heard(&self, refusal: Option<String>) {
        // Most calls are taken, and nothing changes by them.
        if refusal.is_none() && !self.is_refused.load(Ordering::Relaxed) {
            return;
        }
        let mut refused = lock(&self.refused);
        self.is_refused.store(refusal.is_some(), Ordering::Relaxed);
        *refused = refusal;
    }

    pub(crate) fn status(
        &self,
        has_tls: bool,
        has_token: bool,
        expires: Option<SystemTime>,
    ) -> SecurityStatus {
        let files: Vec<String> =
            lock(&self.failed).iter().map(|(what, why)| format!("{what}: {why}")).collect();
        SecurityStatus {
            has_tls,
            has_token,
            certificate_expires: expires,
            reloads: self.reloads.load(Ordering::Relaxed),
            reload_failures: self.failures.load(Ordering::Relaxed),
            files: (!files.is_empty()).then(|| files.join("; ")),
            refused: lock(&self.refused).clone(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
