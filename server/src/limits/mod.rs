//! How much each caller may have of the server at a time, so that one that is noisy does not starve the others.
//!
//! A caller is a user where callers are authenticated, else an address. Three things are held against it: how many of
//! its requests are in flight, how many it sends a second, and how many bytes the server holds for it. While half of
//! what all callers together may have is free, a caller may have more than its share; beyond that it may not.

mod callers;
mod connections;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

pub(crate) use callers::{Callers, Key};
pub(crate) use connections::{ConnectionSlot, Connections, Full};

/// When to ask again where requests in flight are too many: they take microseconds, or wait for something.
const SOON: Duration = Duration::from_millis(100);

/// What callers may have. All but the rate at least 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Requests in flight, of all callers.
    pub(crate) in_flight: usize,
    /// Requests in flight, of one caller.
    pub(crate) caller_in_flight: usize,
    /// Requests a second, of one caller; none: as many as it likes.
    pub(crate) rate: Option<Rate>,
    /// Bytes of requests and answers that are held, of all callers.
    pub(crate) held_bytes: usize,
}

/// Requests a second, and how many may come at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Requests a second.
    pub(crate) per_second: NonZeroU32,
    /// Requests at once, after a while without any.
    pub(crate) burst: NonZeroU32,
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMuch {
    /// The caller sends too many a second.
    CallerRate {
        /// When the next one would be taken.
        retry: Duration,
    },
    /// The caller asks more at once than it ever may.
    CallerBurst,
    /// The caller has too many in flight.
    CallerInFlight,
    /// All callers together have too many in flight, and this one more than its share.
    InFlight,
    /// All callers together have the server hold too many bytes, and this one more than its share.
    HeldBytes,
}

impl TooMuch {
    /// When to ask again; none: it would be refused again.
    pub(crate) fn retry(self) -> Option<Duration> {
        match self {
            TooMuch::CallerRate { retry } => Some(retry),
            TooMuch::CallerBurst => None,
            TooMuch::CallerInFlight | TooMuch::InFlight | TooMuch::HeldBytes => Some(SOON),
        }
    }
}

/// What all callers have together.
#[derive(Debug)]
pub(crate) struct Limits {
    settings: Settings,
    in_flight: AtomicUsize,
    held_bytes: AtomicUsize,
    /// Callers with requests in flight.
    active: AtomicUsize,
}

/// What one caller has.
#[derive(Debug)]
pub(crate) struct Budget {
    in_flight: AtomicUsize,
    held_bytes: AtomicUsize,
    rate: Option<DefaultDirectRateLimiter>,
}

impl Limits {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            in_flight: AtomicUsize::new(0),
            held_bytes: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
        })
    }

    /// What a caller that is new has.
    fn budget(&self) -> Budget {
        let rate = self.settings.rate.map(|Rate { per_second, burst }| {
            RateLimiter::direct(Quota::per_second(per_second).allow_burst(burst))
        });
        Budget { in_flight: AtomicUsize::new(0), held_bytes: AtomicUsize::new(0), rate }
    }

    /// The share of one caller among those that are active.
    fn share(&self, of: usize) -> usize {
        (of / self.active.load(Ordering::Relaxed).max(1)).max(1)
    }

    /// Lets one request of a caller in; what it has ends with the slot.
    ///
    /// # Errors
    /// When the caller, or all callers together, have too much.
    pub(crate) fn enter(self: &Arc<Self>, budget: &Arc<Budget>) -> Result<Slot, TooMuch> {
        // Requests that are refused later count, too.
        budget.charge(1)?;
        self.enter_unrated(budget)
    }

    /// The same, however many the caller sends a second.
    ///
    /// # Errors
    /// When the caller, or all callers together, have too many in flight.
    pub(crate) fn enter_unrated(self: &Arc<Self>, budget: &Arc<Budget>) -> Result<Slot, TooMuch> {
        let slot = self.take(budget);
        let mine = budget.in_flight.load(Ordering::Relaxed);
        let all = self.in_flight.load(Ordering::Relaxed);
        let most = self.settings.in_flight;
        if mine > self.settings.caller_in_flight {
            Err(TooMuch::CallerInFlight)
        } else if all > most || (all > most / 2 && mine > self.share(most)) {
            Err(TooMuch::InFlight)
        } else {
            Ok(slot)
        }
    }

    /// Counts a request, which is given back when the slot is dropped.
    fn take(self: &Arc<Self>, budget: &Arc<Budget>) -> Slot {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        if budget.in_flight.fetch_add(1, Ordering::Relaxed) == 0 {
            self.active.fetch_add(1, Ordering::Relaxed);
        }
        Slot { limits: self.clone(), budget: budget.clone(), held_bytes: AtomicUsize::new(0) }
    }
}

impl Budget {
    /// Counts questions against what the caller may ask a second.
    ///
    /// # Errors
    /// When these are too many; then none of them counts.
    pub(crate) fn charge(&self, questions: usize) -> Result<(), TooMuch> {
        let Some(rate) = &self.rate else { return Ok(()) };
        let Ok(questions) = u32::try_from(questions) else { return Err(TooMuch::CallerBurst) };
        let Some(questions) = NonZeroU32::new(questions) else { return Ok(()) };
        match rate.check_n(questions) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => {
                Err(TooMuch::CallerRate { retry: not_until.wait_time_from(DefaultClock::default().now()) })
            }
            Err(_) => Err(TooMuch::CallerBurst),
        }
    }
}

/// A request that was let in.
#[derive(Debug)]
pub(crate) struct Slot {
    limits: Arc<Limits>,
    budget: Arc<Budget>,
    held_bytes: AtomicUsize,
}

impl Slot {
    /// Counts bytes that are held for this request until it ends.
    ///
    /// # Errors
    /// When all callers together have more than may be held, and this one more than its share.
    pub(crate) fn hold(&self, bytes: usize) -> Result<(), TooMuch> {
        self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        let mine = self.budget.held_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let all = self.limits.held_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let most = self.limits.settings.held_bytes;
        let is_too_much = all > most || (all > most / 2 && mine > self.limits.share(most));
        if is_too_much { Err(TooMuch::HeldBytes) } else { Ok(()) }
    }
}

impl Slot {
    /// Nothing is held any more: of a stream, what was asked so far has been answered.
    pub(crate) fn settle(&self) {
        let held = self.held_bytes.swap(0, Ordering::Relaxed);
        self.budget.held_bytes.fetch_sub(held, Ordering::Relaxed);
        self.limits.held_bytes.fetch_sub(held, Ordering::Relaxed);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.settle();
        self.limits.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.budget.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.limits.active.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
