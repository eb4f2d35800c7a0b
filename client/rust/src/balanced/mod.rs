//! A client of all replicas of the server, which come and go.
//!
//! Each replica has one connection, made when it is first needed, and is probed in the background: those that failed
//! often, the others now and then. A call goes to the replica with the fewest calls in flight among those in the best
//! state, and where asking again is safe, to another one when the first does not answer. Every call only asks, so that
//! all but a refusal of the question itself may be asked again.
//!
//! | what a replica says | what follows |
//! |---|---|
//! | UNAVAILABLE, or nothing any more | it is passed over until it serves again; another one is asked |
//! | its connection is closing: it has come of age, or ends | asked again at once; nothing is held against the replica |
//! | RESOURCE_EXHAUSTED | another one is asked at once; the same one not before the time that it said (`RetryInfo`) |
//! | nothing in time, DEADLINE_EXCEEDED | another one is asked, if there is time |
//! | UNAUTHENTICATED | the token's file is read at once, and if there is another token, that one is tried; else told |
//! | PERMISSION_DENIED, INVALID_ARGUMENT, the rest | told: the others would say the same |
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
use tokio::time::error::Elapsed;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::error::Error;
use crate::security::{Secure, Security, SecurityStatus, words};
use crate::trace::{Attempt as Attempted, Tracer};
use addresses::Addresses;
pub use addresses::{Dns, Resolve, Resolving};
use attempts::Call;
pub use attempts::{Attempt, Attempts};
use replica::Replica;
pub use replica::State;

/// How replicas are found, known and watched. The defaults suit a cluster.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// TLS and credentials. Names are resolved to addresses; certificates are for the names.
    pub security: Security,
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
            security: Security::default(),
            resolve_every: Duration::from_secs(3),
            probe_good_every: Duration::from_secs(3),
            probe_failed_every: Duration::from_millis(500),
            patience: Duration::from_secs(2),
        }
    }
}

/// How one call is made. A [`Duration`] is one, without a trace.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// How long the call may take, with all its attempts.
    pub deadline: Duration,
    /// Is told of the attempts, and puts them into a trace.
    pub tracer: Option<Arc<dyn Tracer>>,
}

impl From<Duration> for CallOptions {
    fn from(deadline: Duration) -> Self {
        Self { deadline, tracer: None }
    }
}

/// A client of all replicas. Cheap to clone; what watches the replicas ends with the last clone.
#[derive(Clone, Debug)]
pub struct Balanced {
    shared: Arc<Shared>,
    _watching: Arc<DropGuard>,
}

#[derive(Debug)]
struct Shared {
    secure: Secure,
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
    /// A client of the replicas at these addresses: `HOST:PORT` (all addresses of the host), `https://HOST:PORT`,
    /// `http://HOST:PORT` or `unix:PATH`. Returns once the names were looked up for the first time, whether or not anybody answers.
    ///
    /// # Errors
    /// [`Error::Address`] when an address cannot be read, or none is given; [`Error::Security`] when the settings of TLS
    /// and credentials, or the files that they name, cannot be used.
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
        let secure = Secure::open(&settings.security).await?;
        let mut addresses = Addresses::parse(addresses, settings.clone(), resolve, &secure)?;
        let shared = Arc::new(Shared {
            secure,
            replicas: Mutex::default(),
            unresolved: Mutex::default(),
            turn: AtomicUsize::default(),
            retries: AtomicU64::default(),
        });
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
        options: impl Into<CallOptions>,
    ) -> Result<v1::AdmitResponse, Error> {
        self.call(request, options.into(), |mut client, request| async move { client.admit(request).await })
            .await
    }

    /// May this end open a connection to that one?
    ///
    /// # Errors
    /// As [`Balanced::admit`].
    pub async fn check_flow(
        &self,
        request: v1::CheckFlowRequest,
        options: impl Into<CallOptions>,
    ) -> Result<v1::CheckFlowResponse, Error> {
        self.call(
            request,
            options.into(),
            |mut client, request| async move { client.check_flow(request).await },
        )
        .await
    }

    /// May these pods be created or updated? One snapshot answers all of them, in their order; each fails alone.
    ///
    /// # Errors
    /// As [`Balanced::admit`].
    pub async fn batch_admit(
        &self,
        request: v1::BatchAdmitRequest,
        options: impl Into<CallOptions>,
    ) -> Result<v1::BatchAdmitResponse, Error> {
        self.call(
            request,
            options.into(),
            |mut client, request| async move { client.batch_admit(request).await },
        )
        .await
    }

    /// May these ends open connections? One snapshot answers all of them, in their order; each fails alone.
    ///
    /// # Errors
    /// As [`Balanced::admit`].
    pub async fn batch_check_flow(
        &self,
        request: v1::BatchCheckFlowRequest,
        options: impl Into<CallOptions>,
    ) -> Result<v1::BatchCheckFlowResponse, Error> {
        self.call(request, options.into(), |mut client, request| async move {
            client.batch_check_flow(request).await
        })
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

    /// How certificates and tokens are, and whether servers take them.
    pub fn security(&self) -> SecurityStatus {
        self.shared.secure.status()
    }

    async fn call<Q, A, F>(
        &self,
        question: Q,
        CallOptions { deadline, tracer }: CallOptions,
        ask: impl Fn(PolicyDecisionClient<Channel>, Request<Q>) -> F,
    ) -> Result<A, Error>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let secure = &self.shared.secure;
        let mut call = Call::new(Instant::now(), deadline);
        let mut is_first = true;
        while let Some((replica, budget)) = call.next(&self.shared).await {
            if !std::mem::replace(&mut is_first, false) {
                self.shared.retries.fetch_add(1, Ordering::Relaxed);
            }
            let mut attempt = tracer.as_ref().map(|tracer| tracer.attempt(&replica.address));
            let context = attempt.as_ref().and_then(|attempt| attempt.context());
            let mut request = Request::new(question.clone());
            request.set_timeout(budget);
            let authorization = secure.prepare(request.metadata_mut(), context.as_ref());
            let counted = replica.counted();
            let started = Instant::now();
            let answer = tokio::time::timeout(budget, ask(replica.client(), request)).await;
            drop(counted);
            if let Some(attempt) = &mut attempt {
                tell(attempt.as_mut(), &answer, &replica);
            }
            match answer {
                Ok(Ok(answer)) => {
                    secure.heard(None);
                    return Ok(answer.into_inner());
                }
                Ok(Err(status)) if is_refusal(&status) => {
                    secure.heard(None);
                    return Err(Error::new(&status, &replica.connection));
                }
                Ok(Err(status)) => {
                    let is_renewed = is_stranger(&status) && secure.is_renewed(authorization.as_ref()).await;
                    call.failed(&replica, started, &status, is_renewed);
                    if may_not(&status) {
                        secure.heard(Some(format!("{}: {}", replica.address, words::describe(&status))));
                    }
                }
                Err(_) => call.timed_out(&replica, started),
            }
        }
        Err(call.into_error(&self.shared))
    }
}

/// Tells a trace how an attempt ended.
fn tell<A>(attempt: &mut dyn Attempted, answer: &Result<Result<A, Status>, Elapsed>, replica: &Replica) {
    match answer {
        Ok(Ok(_)) => attempt.ended(Code::Ok, ""),
        Ok(Err(status)) => attempt.ended(status.code(), &replica.connection.describe(status)),
        Err(_) => attempt.ended(Code::DeadlineExceeded, "no answer in time"),
    }
}

/// The question itself is wrong: no other replica would answer it.
fn is_refusal(status: &Status) -> bool {
    status.code() == Code::InvalidArgument
}

/// The server does not know who asks.
fn is_stranger(status: &Status) -> bool {
    status.code() == Code::Unauthenticated
}

/// The server does not know who asks, or does not let them.
fn may_not(status: &Status) -> bool {
    is_stranger(status) || status.code() == Code::PermissionDenied
}

/// Whom to ask next.
enum Pick {
    /// This one; there are so many others.
    Replica(Arc<Replica>, usize),
    /// All others were asked already.
    Tried,
    /// The others do not want to be asked before this.
    Busy(Instant),
}

impl Shared {
    fn replicas(&self) -> Vec<Arc<Replica>> {
        lock(&self.replicas).clone()
    }

    /// The best replica that is not among `tried`.
    fn pick(&self, tried: &[Arc<Replica>]) -> Pick {
        let mut untried = self.replicas();
        untried.retain(|replica| !tried.iter().any(|other| Arc::ptr_eq(other, replica)));
        let now = Instant::now();
        let busy_until = untried.iter().filter_map(|replica| replica.busy_until(now)).min();
        untried.retain(|replica| replica.busy_until(now).is_none());
        // Among equals they take turns.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = turn.checked_rem(untried.len()).unwrap_or_default();
        let in_turn = untried.iter().cycle().skip(first).take(untried.len());
        match (in_turn.min_by_key(|replica| (replica.state(), replica.in_flight())), busy_until) {
            (Some(best), _) => Pick::Replica(best.clone(), untried.len() - 1),
            (None, Some(until)) => Pick::Busy(until),
            (None, None) => Pick::Tried,
        }
    }
}

/// What a lock holds stays usable whatever a holder did: every write is a single assignment.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
