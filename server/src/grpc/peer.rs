//! Who is at the other end of a connection, and who asks by it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use gavel_access::{Call, Caller, Refusal};
use gavel_engine::Snapshot;
use gavel_telemetry::Span;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::gate::{Shared, too_much};
use super::stuck::InFlight;
use crate::limits::{Budget, Key, Slot};

/// The other end of a connection.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its address; none by a unix socket.
    pub(super) address: Option<SocketAddr>,
    /// Whom limits are held against, as long as nobody else is named.
    pub(super) key: Key,
    /// What its address may have.
    pub(super) budget: Arc<Budget>,
    /// Who it is, as far as the connection tells.
    pub(super) identity: Identity,
    /// What it has asked and was not answered yet.
    pub(super) in_flight: Arc<InFlight>,
    /// The connection has come of age: it takes no more requests, and ends with those it has.
    pub(super) ending: CancellationToken,
}

/// Who is at the other end, as far as the connection tells.
#[derive(Debug)]
pub(super) enum Identity {
    /// Whoever can connect may ask.
    Trusted,
    /// Whom its certificate names, and what they may have.
    Certificate(Arc<Caller>, Arc<Budget>),
    /// It has a certificate that names nobody.
    Nobody(Refusal),
    /// It has shown no certificate; each request has to bring a token.
    Unknown,
}

impl Peer {
    pub(super) fn new(shared: &Shared, address: Option<SocketAddr>, identity: Identity) -> Self {
        let key = address.map_or(Key::Local, |address| Key::address(address.ip()));
        let budget = shared.callers.budget(&key);
        let ending = CancellationToken::new();
        Self { address, key, budget, identity, in_flight: Arc::default(), ending }
    }
}

/// Who asks, of a request that was let in. It travels in the request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    /// Whom a certificate or a token names; none where whoever can connect may ask.
    pub(crate) caller: Option<Arc<Caller>>,
    /// What the request has of the server.
    pub(super) slot: Option<Arc<Slot>>,
    /// What its caller may ask a second.
    pub(super) budget: Option<Arc<Budget>>,
    /// The request's span, if it is traced.
    pub(super) span: Option<Span>,
}

impl Asker {
    /// Counts an answer of so many bytes until it has been sent: whoever reads slowly has the server hold it meanwhile.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when it is too much.
    pub(super) fn hold(&self, bytes: usize) -> Result<(), Status> {
        let Some(slot) = &self.slot else { return Ok(()) };
        slot.hold(bytes).map_err(too_much)
    }

    /// Counts questions against what the caller may ask a second.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when these are too many.
    pub(super) fn charge(&self, questions: usize) -> Result<(), Status> {
        let Some(budget) = &self.budget else { return Ok(()) };
        budget.charge(questions).map_err(too_much)
    }
}

/// What a stream looks at again while it lasts: a right may be revoked, and a certificate or token may expire.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) shared: Arc<Shared>,
    pub(super) caller: Option<Arc<Caller>>,
    pub(super) call: Call,
    /// Its connection has come of age.
    pub(super) ending: CancellationToken,
}

impl Standing {
    /// # Errors
    /// UNAUTHENTICATED or PERMISSION_DENIED, once the caller may not go on.
    pub(super) fn check(&self, snapshot: Option<&Snapshot>) -> Result<(), Status> {
        let Some((access, caller)) = self.shared.access.as_ref().zip(self.caller.as_ref()) else {
            return Ok(());
        };
        is_current(caller)?;
        access.check(caller, self.call, snapshot)
    }
}

/// Whether what tells who the caller is has not expired meanwhile.
///
/// # Errors
/// UNAUTHENTICATED, once it has.
pub(super) fn is_current(caller: &Caller) -> Result<(), Status> {
    match caller.expires {
        Some(expires) if expires <= SystemTime::now() => {
            Err(Status::unauthenticated("the certificate or token has expired: connect with a new one"))
        }
        _ => Ok(()),
    }
}
