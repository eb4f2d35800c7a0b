//! The service: load the snapshot once, decide, answer.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::Stream;
use gavel_engine::Snapshot;
use gavel_proto::v1 as pb;
use gavel_proto::v1::policy_decision_server::PolicyDecision;
use gavel_telemetry::Span;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::deciding::{Circumstances, Clock};
use super::peer::{Asker, Standing};
use super::question::{Answer as _, Question};
use super::snapshot::to_duration;
use super::{batch, flow_stream, revisions};
use crate::decide;
use crate::decision_log::{DecisionIds, DecisionLog};
use crate::metrics::Metrics;
use crate::publisher::Publisher;

/// What the service is made of.
#[derive(Debug)]
pub(crate) struct Service {
    /// Whose snapshot answers.
    pub(crate) publisher: Arc<Publisher>,
    /// Where answers are counted.
    pub(crate) metrics: Arc<Metrics>,
    /// Where decisions are logged.
    pub(crate) log: DecisionLog,
    /// Names the decisions that are logged or traced.
    pub(crate) ids: DecisionIds,
    /// Whether admissions are looked at, or all admitted.
    pub(crate) admission: bool,
    /// Largest object taken, in bytes.
    pub(crate) max_object_bytes: usize,
    /// Most questions in one message.
    pub(crate) max_batch: usize,
    /// How long a request may wait for a snapshot that is fresh enough.
    pub(crate) max_wait: Duration,
    /// Ends the streams.
    pub(crate) stop: CancellationToken,
}

/// The service as its streams need it: they outlast the call that began them, and have a part in it.
#[derive(Clone, Debug)]
pub(crate) struct Handle(pub(crate) Arc<Service>);

impl Service {
    /// Waits, decides, and answers a call with one question.
    async fn answer<Q: Question>(
        &self,
        request: Request<Q>,
        decide: impl FnOnce(&Snapshot, &Q, &mut Clock) -> Result<Q::Answer, Status>,
    ) -> Result<Response<Q::Answer>, Status> {
        let (metadata, extensions, question) = request.into_parts();
        let waited = self.wait(question.consistency(), &metadata).await;
        let asker = extensions.get::<Asker>();
        let circumstances = Circumstances::of_one(asker);
        let _entered = circumstances.span.map(Span::enter);
        let mut since = Instant::now();
        let published = waited.and_then(|()| self.published());
        let snapshot = published.as_ref().map(|published| &published.snapshot).map_err(Clone::clone);
        let mut answer = self.one(snapshot, question, circumstances, &mut since, decide)?;
        if let Some(staleness) = self.publisher.staleness() {
            answer.set_staleness(to_duration(staleness));
        }
        if let Some(asker) = asker {
            asker.hold(&answer)?;
        }
        Ok(Response::new(answer))
    }
}

#[tonic::async_trait]
impl PolicyDecision for Handle {
    async fn admit(&self, request: Request<pb::AdmitRequest>) -> Result<Response<pb::AdmitResponse>, Status> {
        let Self(service) = self;
        service
            .answer(request, |snapshot, request, clock| service.decide_admit(snapshot, request, clock))
            .await
    }

    async fn check_flow(
        &self,
        request: Request<pb::CheckFlowRequest>,
    ) -> Result<Response<pb::CheckFlowResponse>, Status> {
        self.0.answer(request, decide::check_flow_staged).await
    }

    async fn authorize(
        &self,
        request: Request<pb::AuthorizeRequest>,
    ) -> Result<Response<pb::AuthorizeResponse>, Status> {
        self.0.answer(request, decide::authorize_staged).await
    }

    async fn batch_admit(
        &self,
        request: Request<pb::BatchAdmitRequest>,
    ) -> Result<Response<pb::BatchAdmitResponse>, Status> {
        batch::admit(&self.0, request).await
    }

    async fn batch_check_flow(
        &self,
        request: Request<pb::BatchCheckFlowRequest>,
    ) -> Result<Response<pb::BatchCheckFlowResponse>, Status> {
        batch::check_flow(&self.0, request).await
    }

    type StreamCheckFlowStream =
        Pin<Box<dyn Stream<Item = Result<pb::StreamCheckFlowResponse, Status>> + Send>>;

    async fn stream_check_flow(
        &self,
        request: Request<Streaming<pb::StreamCheckFlowRequest>>,
    ) -> Result<Response<Self::StreamCheckFlowStream>, Status> {
        Ok(Response::new(Box::pin(flow_stream::answer(self.0.clone(), request))))
    }

    async fn get_snapshot(
        &self,
        request: Request<pb::GetSnapshotRequest>,
    ) -> Result<Response<pb::GetSnapshotResponse>, Status> {
        // Also before the sources have been read: it tells why there is nothing yet.
        let pb::GetSnapshotRequest { consistency } = request.get_ref();
        self.0.wait(consistency.as_ref(), request.metadata()).await?;
        Ok(Response::new(super::snapshot::to_response(&self.0.publisher)))
    }

    type WatchSnapshotStream = ReceiverStream<Result<pb::SnapshotRevision, Status>>;

    async fn watch_snapshot(
        &self,
        request: Request<pb::WatchSnapshotRequest>,
    ) -> Result<Response<Self::WatchSnapshotStream>, Status> {
        let standing = request.extensions().get::<Standing>().cloned();
        let Self(service) = self;
        Ok(Response::new(revisions::watch(service.publisher.clone(), standing, service.stop.clone())))
    }
}
