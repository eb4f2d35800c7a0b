//! Finds requests that do not end: a caller that does not read its answers, or never sends the rest of its question.
//!
//! Nobody polls such a request, so that no timer of its own would run. Requests are counted by the period in which
//! they came; whoever owns the connection asks once a period whether any is left from before the last one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Periods that are told apart: the current one, the last, and the one that must have ended.
const PERIODS: usize = 3;

/// The requests of a connection that are in flight.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    period: AtomicUsize,
    counts: [AtomicU32; PERIODS],
}

/// One request; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    all: Arc<InFlight>,
    period: usize,
}

impl InFlight {
    /// A request comes.
    pub(super) fn enter(self: &Arc<Self>) -> Counted {
        let period = self.period.load(Ordering::Relaxed) % PERIODS;
        self.counts[period].fetch_add(1, Ordering::Relaxed);
        Counted { all: self.clone(), period }
    }

    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        self.counts.iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// A period ends. True when a request has been in flight for two whole periods.
    pub(super) fn next_period(&self) -> bool {
        let next = self.period.fetch_add(1, Ordering::Relaxed) + 1;
        self.counts[next % PERIODS].load(Ordering::Relaxed) > 0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.all.counts[self.period].fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_for_two_periods_is_found() {
        let all = Arc::new(InFlight::default());
        let stuck = all.enter();
        assert!(!all.next_period(), "it came in the period before");
        drop(all.enter());
        assert!(!all.next_period(), "it may have come at the end of that period");
        let young = all.enter();
        assert!(all.next_period(), "two whole periods have passed");
        drop(stuck);
        assert!(!all.next_period());
        assert!(all.next_period(), "the young one is old by now");
        drop(young);
        assert!(!all.next_period());
    }
}
