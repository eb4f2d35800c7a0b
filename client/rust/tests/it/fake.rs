//! A server that answers, hangs or fails as it is told, and can be killed like a process: with its connections.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use gavel_client::v1 as pb;
use gavel_proto::v1::policy_decision_server::{PolicyDecision, PolicyDecisionServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, HealthService};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Answer,
    Hang,
    Fail(Code),
}

#[derive(Clone, Debug)]
struct Service {
    name: String,
    behaviour: Arc<Mutex<Behaviour>>,
    asked: Arc<AtomicUsize>,
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
        Self::start_at(name, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// At a given address: one that comes back.
    pub(crate) fn start_at(name: &str, address: SocketAddr) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let service = Service {
            name: name.to_owned(),
            behaviour: Arc::new(Mutex::new(Behaviour::Answer)),
            asked: Arc::default(),
        };
        let health = HealthReporter::new();
        let (listening, reported) = std::sync::mpsc::channel();
        let (answering, reporting) = (service.clone(), health.clone());
        runtime.spawn(async move {
            let listener = TcpListener::bind(address).await.unwrap();
            reporting.set_service_status("gavel.v1.PolicyDecision", ServingStatus::Serving).await;
            listening.send(listener.local_addr().unwrap()).unwrap();
            tonic::transport::Server::builder()
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

    pub(crate) async fn says(&self, status: ServingStatus) {
        self.health.set_service_status("gavel.v1.PolicyDecision", status).await;
    }

    /// Ends it at once, with its connections; what it was asked is not answered any more.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Blocks, which a thread of another runtime must not.
            let ending =
                std::thread::spawn(move || runtime.shutdown_timeout(std::time::Duration::from_secs(5)));
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
    async fn answer<T>(&self, answer: T) -> Result<Response<T>, Status> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let behaviour = *self.behaviour.lock().unwrap();
        match behaviour {
            Behaviour::Answer => Ok(Response::new(answer)),
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Fail(code) => Err(Status::new(code, format!("{} was told to fail", self.name))),
        }
    }
}

#[tonic::async_trait]
impl PolicyDecision for Service {
    async fn admit(&self, request: Request<pb::AdmitRequest>) -> Result<Response<pb::AdmitResponse>, Status> {
        let uid = request.into_inner().uid;
        self.answer(pb::AdmitResponse { uid, allowed: true, policy: self.name.clone(), ..Default::default() })
            .await
    }

    async fn check_flow(
        &self,
        _: Request<pb::CheckFlowRequest>,
    ) -> Result<Response<pb::CheckFlowResponse>, Status> {
        self.answer(pb::CheckFlowResponse { reason: self.name.clone(), ..Default::default() }).await
    }

    async fn authorize(
        &self,
        _: Request<pb::AuthorizeRequest>,
    ) -> Result<Response<pb::AuthorizeResponse>, Status> {
        self.answer(pb::AuthorizeResponse::default()).await
    }

    async fn get_snapshot(
        &self,
        _: Request<pb::GetSnapshotRequest>,
    ) -> Result<Response<pb::GetSnapshotResponse>, Status> {
        self.answer(pb::GetSnapshotResponse::default()).await
    }

    type WatchSnapshotStream = tokio_stream::Iter<std::vec::IntoIter<Result<pb::SnapshotRevision, Status>>>;

    async fn watch_snapshot(
        &self,
        _: Request<pb::WatchSnapshotRequest>,
    ) -> Result<Response<Self::WatchSnapshotStream>, Status> {
        let revisions = [1, 2].map(|revision| Ok(pb::SnapshotRevision { revision, ..Default::default() }));
        self.answer(tokio_stream::iter(Vec::from(revisions))).await
    }
}
