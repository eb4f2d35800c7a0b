//! A client of all replicas of the server, which come and go.
//!
//! Each replica has one connection, made when it is first needed, and is probed in the background: those that failed
//! often, the others now and then. A call goes to the replica with the fewest calls in flight among those in the best
//! state, and where asking again is safe, to another one when the first does not answer. Every call only asks, so that
//! all but a refusal of the question itself may be asked again.
//!
//! Not `tower::balance`: its choice of the less loaded of two prefers a dead replica, whose calls fail at once, and it
//! knows nothing of the attempts of one call.

mod addresses;
mod attempts;
mod replica;

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gavel_proto::v1;
use gavel_proto::v1::policy_decision_client::PolicyDecisionClient;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::error::Error;
use addresses::Addresses;
pub use addresses::{Dns, Resolve, Resolving};
use attempts::Call;
pub use attempts::{Attempt, Attempts};
use replica::Replica;
pub use replica::State;

/// How replicas are found and watched. The defaults suit a cluster.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// How often names are resolved again.
    pub resolve_every: Duration,
    /// How often a replica that answers is probed.
    pub probe_good_every: Duration,
    /// How often a replica that does not answer is probed.
    pub probe_failed_every: Duration,
    /// How long a probe, a connection or the answer to a keep-alive may take.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            resolve_every: Duration::from_secs(3),
            probe_good_every: Duration::from_secs(3),
            probe_failed_every: Duration::from_millis(500),
            patience: Duration::from_secs(2),
        }
    }
}

/// A client of all replicas. Cheap to clone; what watches the replicas ends with the last clone.
#[derive(Clone, Debug)]
pub struct Balanced {
    shared: Arc<Shared>,
    _watching: Arc<DropGuard>,
}

#[derive(Debug, Default)]
struct Shared {
    replicas: Mutex<Vec<Arc<Replica>>>,
    /// Why names could not be resolved, as long as they cannot.
    unresolved: Mutex<Vec<String>>,
    turn: AtomicUsize,
    retries: AtomicU64,
}

/// A replica, as it is at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// `ADDRESS:PORT`, or `unix:PATH`.
    pub address: String,
    /// Whether it answers.
    pub state: State,
    /// Why it does not, when it does not.
    pub detail: String,
}

impl Balanced {
    /// A client of the replicas at these addresses: `HOST:PORT` (all addresses of the host), `http://HOST:PORT` or
    /// `unix:PATH`. Returns once the names were looked up for the first time, whether or not anybody answers.
    ///
    /// # Errors
    /// [`Error::Address`] when an address cannot be read, or none is given.
    pub async fn new<A: AsRef<str>>(addresses: &[A]) -> Result<Self, Error> {
        Self::with(addresses, Settings::default(), Arc::new(Dns)).await
    }

    /// The same, with other settings, and another way to resolve names.
    ///
    /// # Errors
    /// As [`Balanced::new`].
    pub async fn with<A: AsRef<str>>(
        addresses: &[A],
        settings: Settings,
        resolve: Arc<dyn Resolve>,
    ) -> Result<Self, Error> {
        let mut addresses = Addresses::parse(addresses, settings, resolve)?;
        let shared = Arc::new(Shared::default());
        let stop = CancellationToken::new();
        addresses.refresh(&shared, &stop).await;
        let following = shared.clone();
        let stopped = stop.clone();
        tokio::spawn(async move {
            let follow = async {
                loop {
                    tokio::time::sleep(settings.resolve_every).await;
                    addresses.refresh(&following, &stopped).await;
                }
            };
            tokio::select! {
                () = follow => {}
                () = stopped.cancelled() => {}
            }
        });
        Ok(Self { shared, _watching: Arc::new(stop.drop_guard()) })
    }

    /// May this pod be created or updated, by this user?
    ///
    /// # Errors
    /// [`Error::Invalid`] when the question cannot be answered, [`Error::Attempts`] when no replica answered it.
    pub async fn admit(
        &self,
        request: v1::AdmitRequest,
        deadline: Duration,
    ) -> Result<v1::AdmitResponse, Error> {
        self.call(request, deadline, |mut client, request| async move { client.admit(request).await }).await
    }

    /// May this end open a connection to that one?
    ///
    /// # Errors
    /// As [`Balanced::admit`].
    pub async fn check_flow(
        &self,
        request: v1::CheckFlowRequest,
        deadline: Duration,
    ) -> Result<v1::CheckFlowResponse, Error> {
        self.call(request, deadline, |mut client, request| async move { client.check_flow(request).await })
            .await
    }

    /// The replicas that are known.
    pub fn replicas(&self) -> Vec<ReplicaStatus> {
        self.shared.replicas().iter().map(|replica| replica.status()).collect()
    }

    /// How many attempts were made after another one of the same call had failed.
    pub fn retries(&self) -> u64 {
        self.shared.retries.load(Ordering::Relaxed)
    }

    /// Why names cannot be resolved at the moment; empty when they can.
    pub fn unresolved(&self) -> Vec<String> {
        lock(&self.shared.unresolved).clone()
    }

    async fn call<Q, A, F>(
        &self,
        question: Q,
        deadline: Duration,
        ask: impl Fn(PolicyDecisionClient<Channel>, Request<Q>) -> F,
    ) -> Result<A, Error>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut call = Call::new(Instant::now(), deadline);
        let mut is_first = true;
        while let Some((replica, budget)) = call.next(&self.shared).await {
            if !std::mem::replace(&mut is_first, false) {
                self.shared.retries.fetch_add(1, Ordering::Relaxed);
            }
            let mut request = Request::new(question.clone());
            request.set_timeout(budget);
            let counted = replica.counted();
            let started = Instant::now();
            let answer = tokio::time::timeout(budget, ask(replica.client(), request)).await;
            drop(counted);
            match answer {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) if is_refusal(&status) => return Err(status.into()),
                Ok(Err(status)) => call.failed(&replica, started, &status),
                Err(_) => call.timed_out(&replica, started),
            }
        }
        Err(call.into_error(&self.shared))
    }
}

/// The question itself is wrong: no other replica would answer it.
fn is_refusal(status: &Status) -> bool {
    status.code() == tonic::Code::InvalidArgument
}

impl Shared {
    fn replicas(&self) -> Vec<Arc<Replica>> {
        lock(&self.replicas).clone()
    }

    /// The best replica that is not among `tried`; how many others there are.
    fn pick(&self, tried: &[Arc<Replica>]) -> Option<(Arc<Replica>, usize)> {
        let untried: Vec<Arc<Replica>> = self
            .replicas()
            .into_iter()
            .filter(|replica| !tried.iter().any(|other| Arc::ptr_eq(other, replica)))
            .collect();
        // Among equals they take turns.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = turn.checked_rem(untried.len())?;
        let in_turn = untried.iter().cycle().skip(first).take(untried.len());
        let best = in_turn.min_by_key(|replica| (replica.state(), replica.in_flight()))?;
        Some((best.clone(), untried.len() - 1))
    }
}

/// What a lock holds stays usable whatever a holder did: every write is a single assignment.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
