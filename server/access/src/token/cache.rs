//! What was found out about tokens, remembered for a while.
//!
//! A token is known by its SHA-256: what is remembered is of no use to whoever reads this process's memory. Who comes
//! with a token that somebody is looking at waits for what they find. The number of tokens is bounded, and tokens that
//! are no good make room first: whoever invents tokens pushes out nobody else.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use dashmap::{DashMap, Entry};
use tokio::sync::OnceCell;

use crate::{Caller, Refusal};

/// Tokens that are remembered at a time; about half a KiB each.
const MOST: usize = 16 * 1024;
/// How often what is over is forgotten.
const SWEEP: Duration = Duration::from_secs(60);

/// What was found out about a token.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) result: Result<Arc<Caller>, Refusal>,
    /// Until when that is not looked at again.
    pub(super) until: Instant,
}

/// How tokens have fared so far. Each that came is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Good, and remembered to be.
    pub hits: u64,
    /// Good, and verified.
    pub misses: u64,
    /// No good.
    pub refused: u64,
    /// Nobody could tell.
    pub errors: u64,
    /// Tokens that are remembered at the moment.
    pub entries: usize,
}

type Key = [u8; 32];
/// Empty while somebody is looking at the token.
type Seen = Arc<OnceCell<Outcome>>;

/// What was found out about tokens.
pub(super) struct Cache {
    seen: DashMap<Key, Seen, foldhash::fast::RandomState>,
    swept: Mutex<Instant>,
    most: usize,
    hits: AtomicU64,
    misses: AtomicU64,
    refused: AtomicU64,
    errors: AtomicU64,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            seen: DashMap::default(),
            swept: Mutex::new(Instant::now()),
            most: MOST,
            hits: AtomicU64::default(),
            misses: AtomicU64::default(),
            refused: AtomicU64::default(),
            errors: AtomicU64::default(),
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl Cache {
    /// What is known about a token, or what `verify` finds out. If whoever looks at it gives up, the next one looks.
    pub(super) async fn get<F: Future<Output = Outcome>>(
        &self,
        token: &str,
        verify: impl FnOnce() -> F,
    ) -> Result<Arc<Caller>, Refusal> {
        let seen = self.seen(token);
        let mut is_new = false;
        let outcome = seen.get_or_init(|| {
            is_new = true;
            verify()
        });
        let result = outcome.await.result.clone();
        let counter = match &result {
            Ok(_) if is_new => &self.misses,
            Ok(_) => &self.hits,
            Err(Refusal::Unauthenticated(_)) => &self.refused,
            Err(Refusal::Unavailable(_)) => &self.errors,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// Counts a token that was refused at a glance.
    pub(super) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> CacheCounts {
        CacheCounts {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            entries: self.seen.len(),
        }
    }

    fn seen(&self, token: &str) -> Seen {
        let mut key = Key::default();
        key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        let now = Instant::now();
        if let Some(seen) = self.seen.get(&key).filter(|seen| is_current(seen, now)) {
            return seen.clone();
        }
        self.make_room(now);
        match self.seen.entry(key) {
            // Somebody else was quicker.
            Entry::Occupied(seen) if is_current(seen.get(), now) => seen.get().clone(),
            Entry::Occupied(mut seen) => {
                seen.insert(Seen::default());
                seen.get().clone()
            }
            Entry::Vacant(place) => place.insert(Seen::default()).clone(),
        }
    }

    fn make_room(&self, now: Instant) {
        // Whoever else makes room makes enough.
        let Ok(mut swept) = self.swept.try_lock() else { return };
        if self.seen.len() < self.most && now.duration_since(*swept) < SWEEP {
            return;
        }
        *swept = now;
        self.seen.retain(|_, seen| is_current(seen, now));
        if self.seen.len() >= self.most {
            self.seen.retain(|_, seen| seen.get().is_none_or(|outcome| outcome.result.is_ok()));
        }
        if self.seen.len() >= self.most {
            self.seen.clear();
        }
    }
}

fn is_current(seen: &Seen, now: Instant) -> bool {
    seen.get().is_none_or(|outcome| now < outcome.until)
}

#[cfg(test)]
mod tests {
    use gavel_engine::rbac::User;

    use super::*;
    use crate::Method;

    async fn ask(cache: &Cache, token: &str, is_good: bool) {
        let result = if is_good {
            Ok(Arc::new(Caller::new(User::default(), Method::Token, None)))
        } else {
            Err(Refusal::Unauthenticated("no".to_owned()))
        };
        let until = Instant::now() + Duration::from_secs(3600);
        let answer = cache.get(token, || async { Outcome { result, until } }).await;
        assert_eq!(answer.is_ok(), is_good);
    }

    async fn is_remembered(cache: &Cache, token: &str) -> bool {
        let mut is_asked = false;
        let until = Instant::now();
        let result = Err(Refusal::Unavailable(String::new()));
        let asked = cache.get(token, || {
            is_asked = true;
            async { Outcome { result, until } }
        });
        let _ = asked.await;
        !is_asked
    }

    #[tokio::test]
    async fn bad_tokens_make_room_for_good_ones() {
        let cache = Cache { most: 10, ..Cache::default() };
        for number in 0..9 {
            ask(&cache, &format!("good-{number}"), true).await;
        }
        for number in 0..1000 {
            ask(&cache, &format!("bad-{number}"), false).await;
            assert!(cache.counts().entries <= 10);
        }
        for number in 0..9 {
            assert!(is_remembered(&cache, &format!("good-{number}")).await, "{number}");
        }
        // Where all are good, all of them are looked at again.
        for number in 9..100 {
            ask(&cache, &format!("good-{number}"), true).await;
            assert!(cache.counts().entries <= 10);
        }
    }

    #[tokio::test]
    async fn what_is_over_is_looked_at_again() {
        let cache = Cache::default();
        for _ in 0..2 {
            assert!(!is_remembered(&cache, "token").await);
        }
        assert_eq!(cache.counts(), CacheCounts { errors: 2, entries: 1, ..CacheCounts::default() });
    }
}
