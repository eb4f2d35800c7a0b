//! A server that answers, hangs or fails as it is told, and can be killed like a process: with its connections.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gavel_client::v1 as pb;
use gavel_proto::v1::policy_decision_server::{PolicyDecision, PolicyDecisionServer};
use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataMap;
use tonic::transport::ServerTlsConfig;
use tonic::{Code, Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_types::{ErrorDetails, StatusExt as _};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Answer,
    Hang,
    Fail(Code),
    /// Overloaded, and not to be asked for this long.
    Patience(Duration),
    /// Answers whoever brings this token.
    Demand(&'static str),
}

/// How a fake serves.
pub(crate) struct Serving {
    pub(crate) at: SocketAddr,
    pub(crate) tls: Option<ServerTlsConfig>,
    pub(crate) max_age: Option<Duration>,
}

impl Default for Serving {
    fn default() -> Self {
        Self { at: SocketAddr::from(([127, 0, 0, 1], 0)), tls: None, max_age: None }
    }
}

#[derive(Clone, Debug)]
struct Service {
    name: String,
    behaviour: Arc<Mutex<Behaviour>>,
    asked: Arc<AtomicUsize>,
    /// What came along with the last question.
    metadata: Arc<Mutex<MetadataMap>>,
    /// Who asked, connection by connection.
    peers: Arc<Mutex<BTreeSet<SocketAddr>>>,
}

/// A server with a runtime of its own.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    service: Service,
    health: HealthReporter,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Fake {
    pub(crate) fn start(name: &str) -> Self {
        Self::serve(name, Serving::default())
    }

    /// At a given address: one that comes back.
    pub(crate) fn start_at(name: &str, at: SocketAddr) -> Self {
        Self::serve(name, Serving { at, ..Serving::default() })
    }

    pub(crate) fn serve(name: &str, Serving { at, tls, max_age }: Serving) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let service = Service {
            name: name.to_owned(),
            behaviour: Arc::new(Mutex::new(Behaviour::Answer)),
            asked: Arc::default(),
            metadata: Arc::default(),
            peers: Arc::default(),
        };
        let health = HealthReporter::new();
        let (listening, reported) = std::sync::mpsc::channel();
        let (answering, reporting) = (service.clone(), health.clone());
        runtime.spawn(async move {
            let listener = TcpListener::bind(at).await.unwrap();
            reporting.set_service_status("gavel.v1.PolicyDecision", ServingStatus::Serving).await;
            listening.send(listener.local_addr().unwrap()).unwrap();
            let mut server = tonic::transport::Server::builder();
            if let Some(tls) = tls {
                server = server.tls_config(tls).unwrap();
            }
            if let Some(max_age) = max_age {
                server = server.max_connection_age(max_age);
            }
            server
                .add_service(PolicyDecisionServer::new(answering))
                .add_service(tonic_health::pb::health_server::HealthServer::new(
                    HealthService::from_health_reporter(reporting),
                ))
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        let address = reported.recv().unwrap();
        Self { address, service, health, runtime: Some(runtime) }
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.service.behaviour.lock().unwrap() = behaviour;
    }

    pub(crate) fn asked(&self) -> usize {
        self.service.asked.load(Ordering::Relaxed)
    }

    /// What came along with the last question.
    pub(crate) fn metadata(&self, key: &str) -> Option<String> {
        let metadata = self.service.metadata.lock().unwrap();
        metadata.get(key).map(|value| value.to_str().unwrap().to_owned())
    }

    /// How many connections questions came by.
    pub(crate) fn connections(&self) -> usize {
        self.service.peers.lock().unwrap().len()
    }

    pub(crate) async fn says(&self, status: ServingStatus) {
        self.health.set_service_status("gavel.v1.PolicyDecision", status).await;
    }

    /// Ends it at once, with its connections; what it was asked is not answered any more.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Blocks, which a thread of another runtime must not.
            let ending = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
            ending.join().unwrap();
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Service {
    async fn answer<Q, T>(&self, request: &Request<Q>, answer: T) -> Result<Response<T>, Status> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        request.metadata().clone_into(&mut self.metadata.lock().unwrap());
        if let Some(peer) = request.remote_addr() {
            self.peers.lock().unwrap().insert(peer);
        }
        let behaviour = *self.behaviour.lock().unwrap();
        match behaviour {
            Behaviour::Answer => Ok(Response::new(answer)),
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Fail(code) => Err(Status::new(code, format!("{} was told to fail", self.name))),
            Behaviour::Patience(time) => Err(Status::with_error_details(
                Code::ResourceExhausted,
                "too much",
                ErrorDetails::with_retry_info(Some(time)),
            )),
            Behaviour::Demand(token) => {
                let given = request.metadata().get("authorization").map(|value| value.to_str().unwrap());
                if given == Some(&format!("Bearer {token}")) {
                    Ok(Response::new(answer))
                } else {
                    Err(Status::unauthenticated("that is not the token"))
                }
            }
        }
    }
}

#[tonic::async_trait]
impl PolicyDecision for Service {
    async fn admit(&self, request: Request<pb::AdmitRequest>) -> Result<Response<pb::AdmitResponse>, Status> {
        let uid = request.get_ref().uid.clone();
        self.answer(
            &request,
            pb::AdmitResponse { uid, allowed: true, policy: self.name.clone(), ..Default::default() },
        )
        .await
    }

    async fn check_flow(
        &self,
        request: Request<pb::CheckFlowRequest>,
    ) -> Result<Response<pb::CheckFlowResponse>, Status> {
        self.answer(&request, pb::CheckFlowResponse { reason: self.name.clone(), ..Default::default() }).await
    }

    async fn authorize(
        &self,
        request: Request<pb::AuthorizeRequest>,
    ) -> Result<Response<pb::AuthorizeResponse>, Status> {
        self.answer(&request, pb::AuthorizeResponse::default()).await
    }

    async fn batch_admit(
        &self,
        request: Request<pb::BatchAdmitRequest>,
    ) -> Result<Response<pb::BatchAdmitResponse>, Status> {
        self.answer(&request, pb::BatchAdmitResponse { revision: 7, ..Default::default() }).await
    }

    async fn batch_check_flow(
        &self,
        request: Request<pb::BatchCheckFlowRequest>,
    ) -> Result<Response<pb::BatchCheckFlowResponse>, Status> {
        self.answer(&request, pb::BatchCheckFlowResponse { revision: 7, ..Default::default() }).await
    }

    type StreamCheckFlowStream = std::pin::Pin<
        Box<dyn tokio_stream::Stream<Item = Result<pb::StreamCheckFlowResponse, Status>> + Send>,
    >;

    async fn stream_check_flow(
        &self,
        request: Request<tonic::Streaming<pb::StreamCheckFlowRequest>>,
    ) -> Result<Response<Self::StreamCheckFlowStream>, Status> {
        self.answer(&request, ()).await?;
        let mut first = 0;
        let answers = request.into_inner().map(move |questions| {
            let asked = questions?.questions.len();
            let result = pb::check_flow_result::Result::Answer(pb::CheckFlowResponse::default());
            let results = vec![pb::CheckFlowResult { result: Some(result) }; asked];
            let answers = pb::StreamCheckFlowResponse { first, results, ..Default::default() };
            first += asked as u64;
            Ok(answers)
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_snapshot(
        &self,
        request: Request<pb::GetSnapshotRequest>,
    ) -> Result<Response<pb::GetSnapshotResponse>, Status> {
        self.answer(&request, pb::GetSnapshotResponse::default()).await
    }

    type WatchSnapshotStream = tokio_stream::Iter<std::vec::IntoIter<Result<pb::SnapshotRevision, Status>>>;

    async fn watch_snapshot(
        &self,
        request: Request<pb::WatchSnapshotRequest>,
    ) -> Result<Response<Self::WatchSnapshotStream>, Status> {
        let revisions = [1, 2].map(|revision| Ok(pb::SnapshotRevision { revision, ..Default::default() }));
        self.answer(&request, tokio_stream::iter(Vec::from(revisions))).await
    }

    type WatchNodePodsStream = tokio_stream::Iter<std::vec::IntoIter<Result<pb::NodePods, Status>>>;

    async fn watch_node_pods(
        &self,
        request: Request<pb::WatchNodePodsRequest>,
    ) -> Result<Response<Self::WatchNodePodsStream>, Status> {
        let pods = pb::NodePods { revision: 7, ..Default::default() };
        self.answer(&request, tokio_stream::iter(vec![Ok(pods)])).await
    }
}
