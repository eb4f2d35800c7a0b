//! One replica: its connection, its state, and the probe that keeps the state true.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gavel_proto::v1::policy_decision_client::PolicyDecisionClient;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{ReplicaStatus, Settings, lock};
use crate::client::{MAX_ANSWER_BYTES, SERVICE};
use crate::connect::Connection;
use crate::security::Secure;

/// Whether a replica answers. The smaller, the sooner it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// It says that it serves.
    Good,
    /// It has not been heard of yet.
    Unknown,
    /// It answers, and says that it does not serve: it has read nothing yet, or is about to end.
    NotServing,
    /// It did not answer when it was last asked.
    Failed,
}

/// One replica.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) address: String,
    pub(super) connection: Connection,
    secure: Secure,
    state: AtomicU8,
    detail: Mutex<String>,
    in_flight: AtomicUsize,
    /// Until when it does not want to be asked.
    busy: Mutex<Option<Instant>>,
    /// Wakes the probe when a call has failed.
    failed: Notify,
    /// Ends the probe when the replica is no longer known.
    pub(super) stop: CancellationToken,
}

/// Counts a call as being in flight.
pub(super) struct InFlight<'r>(&'r AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Replica {
    /// A replica that is probed from now on.
    pub(super) fn start(
        address: String,
        connection: Connection,
        secure: Secure,
        settings: Settings,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let replica = Arc::new(Self {
            address,
            connection,
            secure,
            state: AtomicU8::new(State::Unknown as u8),
            detail: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            busy: Mutex::default(),
            failed: Notify::new(),
            stop,
        });
        let probed = replica.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = probed.probe(settings) => {}
                () = probed.stop.cancelled() => {}
            }
        });
        replica
    }

    pub(super) fn client(&self) -> PolicyDecisionClient<Channel> {
        PolicyDecisionClient::new(self.connection.channel()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    pub(super) fn counted(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(&self.in_flight)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn state(&self) -> State {
        let state = self.state.load(Ordering::Relaxed);
        let all = [State::Good, State::Unknown, State::NotServing];
        all.into_iter().find(|one| *one as u8 == state).unwrap_or(State::Failed)
    }

    pub(super) fn status(&self) -> ReplicaStatus {
        ReplicaStatus {
            address: self.address.clone(),
            state: self.state(),
            detail: lock(&self.detail).clone(),
        }
    }

    /// Passed over from now on, until a probe says that it serves.
    pub(super) fn mark_failed(&self, why: &str) {
        self.set(State::Failed, why);
        self.failed.notify_one();
    }

    /// Not asked before this time is over.
    pub(super) fn spare(&self, time: Duration) {
        *lock(&self.busy) = Some(Instant::now() + time);
    }

    /// Until when it does not want to be asked, if that is still to come.
    pub(super) fn busy_until(&self, now: Instant) -> Option<Instant> {
        lock(&self.busy).filter(|until| *until > now)
    }

    fn set(&self, state: State, detail: &str) {
        detail.clone_into(&mut lock(&self.detail));
        self.state.store(state as u8, Ordering::Relaxed);
    }

    async fn probe(&self, settings: Settings) {
        loop {
            let (state, detail) = match tokio::time::timeout(settings.patience, self.check()).await {
                Ok(checked) => checked,
                Err(_) => {
                    (State::Failed, format!("no answer to a health check within {:?}", settings.patience))
                }
            };
            self.set(state, &detail);
            if state == State::Good {
                tokio::select! {
                    () = tokio::time::sleep(settings.probe_good_every) => {}
                    () = self.failed.notified() => tokio::time::sleep(settings.probe_failed_every).await,
                }
            } else {
                tokio::time::sleep(settings.probe_failed_every).await;
            }
        }
    }

    async fn check(&self) -> (State, String) {
        let mut request = Request::new(HealthCheckRequest { service: SERVICE.to_owned() });
        self.secure.prepare(request.metadata_mut(), None);
        match HealthClient::new(self.connection.channel()).check(request).await {
            Ok(answer) => match answer.into_inner().status() {
                ServingStatus::Serving => (State::Good, String::new()),
                other => (State::NotServing, format!("says {}", other.as_str_name())),
            },
            // A server without health checks is taken to serve, as gRPC's own clients do
            // (https://github.com/grpc/proposal/blob/master/A17-client-side-health-checking.md).
            Err(status) if status.code() == Code::Unimplemented => (State::Good, String::new()),
            Err(status) if status.code() == Code::NotFound => {
                (State::NotServing, format!("does not know the service {SERVICE}"))
            }
            // It had come of age: the next check makes a new connection, and so will the next call.
            Err(status) if self.connection.is_closing(&status) => {
                (State::Unknown, self.connection.describe(&status))
            }
            Err(status) => (State::Failed, self.connection.describe(&status)),
        }
    }
}
