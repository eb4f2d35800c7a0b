//! The calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gavel_proto::v1;
use gavel_proto::v1::policy_decision_client::PolicyDecisionClient;
use tokio_stream::Stream;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::connect::{Address, Connection};
use crate::error::{Error, retry_after};
use crate::security::{Secure, Security, SecurityStatus};
use crate::trace::TraceContext;

/// How long a call may take when nothing else is said.
const DEADLINE: Duration = Duration::from_secs(5);
/// At most so many attempts a call.
const MOST: usize = 3;
/// Name of the service, as health checks ask for it.
pub(crate) const SERVICE: &str = "gavel.v1.PolicyDecision";
/// Largest answer taken: a ledger over many policies is long.
pub(crate) const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A client of one server. Cheap to clone; clones share the connection.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Arc<Connection>,
    secure: Secure,
    deadline: Duration,
    trace: Option<TraceContext>,
}

impl Client {
    /// Connects to `HOST:PORT`, `http://HOST:PORT` or `unix:PATH`, without TLS and without credentials.
    ///
    /// # Errors
    /// [`Error::Address`] when the address cannot be read, [`Error::Connect`] when nobody answers there.
    pub async fn connect(address: &str) -> Result<Self, Error> {
        Self::connect_with(address, &Security::default()).await
    }

    /// Connects to `HOST:PORT`, `https://HOST:PORT`, `http://HOST:PORT` or `unix:PATH`, with these settings of TLS and
    /// credentials.
    ///
    /// # Errors
    /// As [`Client::connect`]; [`Error::Security`] when the settings, or the files that they name, cannot be used.
    pub async fn connect_with(address: &str, security: &Security) -> Result<Self, Error> {
        let (at, scheme) = Address::parse(address)?;
        let secure = Secure::open(security).await?;
        secure.check(address, &at, scheme)?;
        let connection = Connection::eager(&at, at.host().unwrap_or_default(), &secure).await?;
        Ok(Self { connection: Arc::new(connection), secure, deadline: DEADLINE, trace: None })
    }

    /// The same client, whose calls may take this long: 5 seconds unless said otherwise.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The same client, whose calls belong to this trace.
    #[must_use]
    pub fn with_trace_context(self, trace: TraceContext) -> Self {
        Self { trace: Some(trace), ..self }
    }

    /// How certificates and tokens are.
    pub fn security(&self) -> SecurityStatus {
        self.secure.status()
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

    /// May these pods be created or updated? One snapshot answers all of them, in their order; each fails alone.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn batch_admit(&self, request: v1::BatchAdmitRequest) -> Result<v1::BatchAdmitResponse, Error> {
        self.call(request, async |mut client, request| client.batch_admit(request).await).await
    }

    /// May these ends open connections? One snapshot answers all of them, in their order; each fails alone.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn batch_check_flow(
        &self,
        request: v1::BatchCheckFlowRequest,
    ) -> Result<v1::BatchCheckFlowResponse, Error> {
        self.call(request, async |mut client, request| client.batch_check_flow(request).await).await
    }

    /// Answers flow questions as they come, in their order, each by the snapshot that is current then; none has to be
    /// answered before the next is asked. The deadline is for the beginning of the stream alone. A stream that ends with
    /// an error, as when its connection has come of age, can be begun again with the questions it did not answer.
    ///
    /// # Errors
    /// See [`Error`]. Asked once: whatever the stream of questions gave is not there to be sent again.
    pub async fn stream_check_flow(
        &self,
        questions: impl Stream<Item = v1::StreamCheckFlowRequest> + Send + 'static,
    ) -> Result<Streaming<v1::StreamCheckFlowResponse>, Error> {
        let mut request = Request::new(questions);
        self.secure.prepare(request.metadata_mut(), self.trace.as_ref());
        let mut service = self.service();
        match tokio::time::timeout(self.deadline, service.stream_check_flow(request)).await {
            Ok(Ok(answers)) => Ok(answers.into_inner()),
            Ok(Err(status)) => Err(Error::new(&status, &self.connection)),
            Err(_) => Err(Error::Deadline(self.deadline)),
        }
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
    /// beginning. A stream that ends with an error, as when its connection has come of age, can be begun again.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn watch_snapshot(&self) -> Result<Streaming<v1::SnapshotRevision>, Error> {
        self.call(v1::WatchSnapshotRequest {}, async |mut client, mut request| {
            // The server would end the stream by it.
            request.metadata_mut().remove("grpc-timeout");
            client.watch_snapshot(request).await
        })
        .await
    }

    /// Tells the pods of a node, and whether policies isolate them, beginning with the current ones, and again whenever
    /// they have changed; of all nodes, where `node` is empty. Otherwise as [`Client::watch_snapshot`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn watch_node_pods(&self, node: &str) -> Result<Streaming<v1::NodePods>, Error> {
        let request = v1::WatchNodePodsRequest { node: node.to_owned() };
        self.call(request, async |mut client, mut request| {
            request.metadata_mut().remove("grpc-timeout");
            client.watch_node_pods(request).await
        })
        .await
    }

    fn service(&self) -> PolicyDecisionClient<Channel> {
        PolicyDecisionClient::new(self.connection.channel()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// Calls within the deadline; again where that is safe and may help. Every call only asks.
    async fn call<Q: Clone, A>(
        &self,
        question: Q,
        call: impl AsyncFn(PolicyDecisionClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Error> {
        let started = Instant::now();
        let within_deadline = async {
            let mut failures = 0;
            loop {
                let mut request = Request::new(question.clone());
                request.set_timeout(self.deadline.saturating_sub(started.elapsed()));
                let authorization = self.secure.prepare(request.metadata_mut(), self.trace.as_ref());
                let status = match call(self.service(), request).await {
                    Ok(answer) => return Ok(answer.into_inner()),
                    Err(status) => status,
                };
                failures += 1;
                let left = self.deadline.saturating_sub(started.elapsed());
                let pause = match status.code() {
                    _ if failures == MOST => None,
                    Code::Unauthenticated if self.secure.is_renewed(authorization.as_ref()).await => {
                        Some(Duration::ZERO)
                    }
                    // Not before the server said, and not at all if that is too late.
                    Code::ResourceExhausted => retry_after(&status).filter(|after| *after < left),
                    Code::Unavailable if failures == 1 => Some(Duration::ZERO),
                    _ if self.connection.is_closing(&status) => Some(Duration::ZERO),
                    _ => None,
                };
                match pause {
                    None => return Err(Error::new(&status, &self.connection)),
                    Some(pause) => tokio::time::sleep(pause).await,
                }
            }
        };
        match tokio::time::timeout(self.deadline, within_deadline).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Deadline(self.deadline)),
        }
    }
}
