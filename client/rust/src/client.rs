//! The calls.

use std::time::Duration;

use gavel_proto::v1;
use gavel_proto::v1::policy_decision_client::PolicyDecisionClient;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::connect::endpoint;
use crate::error::Error;

/// How long a call may take when nothing else is said.
const DEADLINE: Duration = Duration::from_secs(5);
/// Name of the service, as health checks ask for it.
pub(crate) const SERVICE: &str = "gavel.v1.PolicyDecision";
/// Largest answer taken: a ledger over many policies is long.
pub(crate) const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A client of one server. Cheap to clone; clones share the connection.
#[derive(Clone, Debug)]
pub struct Client {
    inner: PolicyDecisionClient<Channel>,
    deadline: Duration,
}

impl Client {
    /// Connects to `HOST:PORT`, `http://HOST:PORT` or `unix:PATH`.
    ///
    /// # Errors
    /// [`Error::Address`] when the address cannot be read, [`Error::Connect`] when nobody answers there.
    pub async fn connect(address: &str) -> Result<Self, Error> {
        let (endpoint, socket) = endpoint(address)?;
        let connected = match socket {
            None => endpoint.connect().await,
            Some(socket) => endpoint.connect_with_connector(socket).await,
        };
        let channel = connected.map_err(|source| Error::Connect { address: address.to_owned(), source })?;
        let inner = PolicyDecisionClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self { inner, deadline: DEADLINE })
    }

    /// The same client, whose calls may take this long: 5 seconds unless said otherwise.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// May this pod be created or updated, by this user?
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn admit(&self, request: v1::AdmitRequest) -> Result<v1::AdmitResponse, Error> {
        self.call(request, async |mut client, request| client.admit(request).await).await
    }

    /// May this end open a connection to that one?
    ///
    /// # Errors
    /// See [`Error`]. An end that does not exist is [`Error::Invalid`], not a denial.
    pub async fn check_flow(&self, request: v1::CheckFlowRequest) -> Result<v1::CheckFlowResponse, Error> {
        self.call(request, async |mut client, request| client.check_flow(request).await).await
    }

    /// May this subject do this?
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn authorize(&self, request: v1::AuthorizeRequest) -> Result<v1::AuthorizeResponse, Error> {
        self.call(request, async |mut client, request| client.authorize(request).await).await
    }

    /// What are the answers made from?
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get_snapshot(&self) -> Result<v1::GetSnapshotResponse, Error> {
        let request = v1::GetSnapshotRequest::default();
        self.call(request, async |mut client, request| client.get_snapshot(request).await).await
    }

    /// Tells each revision of the server's snapshot, beginning with the current one, so that what was cached can be
    /// dropped. The stream has no deadline: it goes on until it is dropped or the server ends. The deadline is for its
    /// beginning.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn watch_snapshot(&self) -> Result<Streaming<v1::SnapshotRevision>, Error> {
        let mut client = self.inner.clone();
        match tokio::time::timeout(self.deadline, client.watch_snapshot(v1::WatchSnapshotRequest {})).await {
            Ok(stream) => stream.map(Response::into_inner).map_err(Error::from),
            Err(_) => Err(Error::Deadline(self.deadline)),
        }
    }

    /// Calls within the deadline; once more when the server was not there, which is safe: every call only asks.
    async fn call<Q: Clone, A>(
        &self,
        question: Q,
        call: impl AsyncFn(PolicyDecisionClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Error> {
        let ask = || {
            let mut request = Request::new(question.clone());
            request.set_timeout(self.deadline);
            call(self.inner.clone(), request)
        };
        let within_deadline = async {
            match ask().await {
                Err(status) if status.code() == Code::Unavailable => ask().await,
                answer => answer,
            }
        };
        match tokio::time::timeout(self.deadline, within_deadline).await {
            Ok(answer) => answer.map(Response::into_inner).map_err(Error::from),
            Err(_) => Err(Error::Deadline(self.deadline)),
        }
    }
}
