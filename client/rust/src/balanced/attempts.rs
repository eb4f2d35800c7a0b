//! The attempts of one call: whom next, for how long, and what is told when none of them led to an answer.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tonic::{Code, Status, TimeoutExpired};

use super::replica::Replica;
use super::{Pick, Shared};
use crate::error::{Error, retry_after};

/// At most so many attempts a call.
const MOST: usize = 3;
/// A replica that does not answer for this long has failed.
const FAIR: Duration = Duration::from_millis(100);
/// Another attempt is not begun for less.
const USEFUL: Duration = Duration::from_millis(5);
/// Before the same replicas are asked again, they get this long to come back; the next time ten times as long.
const PAUSE: Duration = Duration::from_millis(50);

/// One attempt that led to no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The replica that was asked.
    pub address: String,
    /// How long it took.
    pub took: Duration,
    /// What came instead of an answer; [`Code::DeadlineExceeded`] when nothing did.
    pub code: Code,
    /// The same in words.
    pub why: String,
}

/// Why a call has no answer: attempt by attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// In their order. None, when no replica is known.
    pub attempts: Vec<Attempt>,
    /// Why names could not be resolved.
    pub unresolved: Vec<String>,
    /// How long the call took.
    pub took: Duration,
}

impl Attempts {
    /// Whether servers could not be asked, or had no time to answer: later they might. Otherwise the last attempt had
    /// an answer, and that was an error.
    pub fn is_unavailable(&self) -> bool {
        self.attempts.last().is_none_or(|attempt| may_ask_again(attempt.code))
    }

    /// The code of the last attempt; [`Code::Unavailable`] when there was none.
    pub fn code(&self) -> Code {
        self.attempts.last().map_or(Code::Unavailable, |attempt| attempt.code)
    }
}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer within {} ms: ", self.took.as_millis())?;
        if self.attempts.is_empty() {
            f.write_str("no server is known")?;
        }
        for (index, attempt) in self.attempts.iter().enumerate() {
            let is_same = |other: &&Attempt| other.address == attempt.address && other.why == attempt.why;
            if self.attempts.iter().take(index).any(|other| is_same(&other)) {
                continue;
            }
            let Attempt { address, took, code: _, why } = attempt;
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{address} after {} ms: {why}", took.as_millis())?;
            match self.attempts.iter().filter(is_same).count() {
                1 => {}
                times => write!(f, " ({times} times)")?,
            }
        }
        self.unresolved.iter().try_for_each(|why| write!(f, "; {why}"))
    }
}

/// One call, as far as it has come.
pub(super) struct Call {
    started: Instant,
    deadline: Instant,
    /// Asked in vain in this round; once all were, a new round begins.
    tried: Vec<Arc<Replica>>,
    attempts: Vec<Attempt>,
    pause: Duration,
    may_go_on: bool,
    /// Whether a connection was closing under this call: happening twice, it is no coincidence.
    met_closing: bool,
}

impl Call {
    pub(super) fn new(started: Instant, deadline: Duration) -> Self {
        Self {
            started,
            deadline: started + deadline,
            tried: Vec::new(),
            attempts: Vec::new(),
            pause: PAUSE,
            may_go_on: true,
            met_closing: false,
        }
    }

    /// Whom to ask next, and how long to wait for the answer; none when the call has to end.
    pub(super) async fn next(&mut self, shared: &Shared) -> Option<(Arc<Replica>, Duration)> {
        if !self.may_go_on || self.attempts.len() >= MOST {
            return None;
        }
        let (replica, others) = match shared.pick(&self.tried) {
            Pick::Replica(replica, others) => (replica, others),
            Pick::Busy(until) => self.once_free(shared, until).await?,
            Pick::Tried => {
                self.tried.clear();
                tokio::time::sleep(self.pause.min(self.left() / 4)).await;
                self.pause *= 10;
                match shared.pick(&self.tried) {
                    Pick::Replica(replica, others) => (replica, others),
                    Pick::Busy(until) => self.once_free(shared, until).await?,
                    Pick::Tried => return None,
                }
            }
        };
        let left = self.left();
        if left.is_zero() || (left < USEFUL && !self.attempts.is_empty()) {
            return None;
        }
        // A replica that hangs must not eat the time of one that would answer.
        let is_last = others == 0 || self.attempts.len() + 1 == MOST;
        Some((replica, if is_last { left } else { left / 2 }))
    }

    /// Waits until a replica may be asked again that had asked for patience; not at all if that is too late.
    async fn once_free(&mut self, shared: &Shared, until: Instant) -> Option<(Arc<Replica>, usize)> {
        if until + USEFUL > self.deadline {
            if self.attempts.is_empty() {
                self.attempts = all_busy(shared);
            }
            return None;
        }
        tokio::time::sleep_until(until.into()).await;
        // Another call may have been told to wait in the meantime; this one does not wait once more.
        match shared.pick(&self.tried) {
            Pick::Replica(replica, others) => Some((replica, others)),
            Pick::Busy(_) | Pick::Tried => {
                if self.attempts.is_empty() {
                    self.attempts = all_busy(shared);
                }
                None
            }
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// An attempt ended with an error; `is_renewed` says that there are other credentials by now than the refused ones.
    pub(super) fn failed(
        &mut self,
        replica: &Arc<Replica>,
        started: Instant,
        status: &Status,
        is_renewed: bool,
    ) {
        if is_timer(status) {
            return self.timed_out(replica, started);
        }
        // What a server says has no source; what has one comes from the connection.
        let is_transport = std::error::Error::source(status).is_some();
        let why = replica.connection.describe(status);
        let code = if is_transport { Code::Unavailable } else { status.code() };
        if let Some(time) = retry_after(status)
            && code == Code::ResourceExhausted
        {
            replica.spare(time);
        }
        self.may_go_on = may_ask_again(code) || is_renewed;
        self.record(replica, started, code, why.clone());
        let was_closing =
            replica.connection.is_closing(status) && !std::mem::replace(&mut self.met_closing, true);
        if is_renewed || was_closing {
            // The same one may be asked at once.
            self.tried.pop();
        } else if code == Code::Unavailable {
            replica.mark_failed(&why);
        }
    }

    /// An attempt had no answer in its time.
    pub(super) fn timed_out(&mut self, replica: &Arc<Replica>, started: Instant) {
        let why = "no answer in time".to_owned();
        // A caller without patience must not take the replica from the others.
        if started.elapsed() >= FAIR {
            replica.mark_failed(&why);
        }
        self.record(replica, started, Code::DeadlineExceeded, why);
    }

    fn record(&mut self, replica: &Arc<Replica>, started: Instant, code: Code, why: String) {
        self.attempts.push(Attempt { address: replica.address.clone(), took: started.elapsed(), code, why });
        self.tried.push(replica.clone());
    }

    pub(super) fn into_error(self, shared: &Shared) -> Error {
        Error::Attempts(Box::new(Attempts {
            attempts: self.attempts,
            unresolved: super::lock(&shared.unresolved).clone(),
            took: self.started.elapsed(),
        }))
    }
}

/// What is told when all replicas have asked for patience, and none is asked.
fn all_busy(shared: &Shared) -> Vec<Attempt> {
    let now = Instant::now();
    let busy = shared.replicas().into_iter().filter_map(|replica| {
        let left = replica.busy_until(now)?.saturating_duration_since(now);
        let why = format!("overloaded; not asked for another {} ms, as it said", left.as_millis());
        let address = replica.address.clone();
        Some(Attempt { address, took: Duration::ZERO, code: Code::ResourceExhausted, why })
    });
    busy.collect()
}

/// tonic's own timers, which run beside ours, here and in the server: `TimeoutExpired` of tonic, which has no code of its
/// own on the wire.
fn is_timer(status: &Status) -> bool {
    status.code() == Code::Cancelled && status.message() == TimeoutExpired(()).to_string()
}

/// Codes after which another replica, or a later time, may bring an answer.
fn may_ask_again(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Cancelled)
}
