//! The service: load the snapshot once, decide, answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gavel_engine::Snapshot;
use gavel_proto::v1 as pb;
use gavel_telemetry::Span;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::deciding::{Circumstances, Clock};
use super::peer::{Asker, Standing};
use super::question::{Answer as _, Question};
use super::snapshot::to_duration;
use super::{node_pods, revisions};
use crate::decide::{self, Detail, FlowAnswer};
use crate::decision_log::{DecisionIds, DecisionLog};
use crate::metrics::Metrics;
use crate::publisher::Publisher;

/// Room for an answer of CheckFlow, in bytes: most take less.
const FLOW_ANSWER: usize = 768;

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
            asker.hold(answer.size())?;
        }
        Ok(Response::new(answer))
    }

    /// # Errors
    /// As all calls that decide: UNAVAILABLE without a snapshot, DEADLINE_EXCEEDED without one as fresh as wanted,
    /// INVALID_ARGUMENT when the question cannot be read.
    pub(super) async fn admit(
        &self,
        request: Request<pb::AdmitRequest>,
    ) -> Result<Response<pb::AdmitResponse>, Status> {
        self.answer(request, |snapshot, request, clock| self.decide_admit(snapshot, request, clock)).await
    }

    /// # Errors
    /// As [`Service::admit`].
    pub(super) async fn check_flow(
        &self,
        request: Request<pb::CheckFlowRequest>,
    ) -> Result<Response<FlowAnswer>, Status> {
        let decide = |snapshot: &Snapshot, request: &pb::CheckFlowRequest, clock: &mut Clock| {
            decide::check_flow_in(snapshot, request, Detail::Full, Vec::with_capacity(FLOW_ANSWER), clock)
        };
        self.answer(request, decide).await
    }

    /// # Errors
    /// As [`Service::admit`].
    pub(super) async fn authorize(
        &self,
        request: Request<pb::AuthorizeRequest>,
    ) -> Result<Response<pb::AuthorizeResponse>, Status> {
        self.answer(request, decide::authorize_staged).await
    }

    /// # Errors
    /// When there is no snapshot as fresh as wanted.
    pub(super) async fn get_snapshot(
        &self,
        request: Request<pb::GetSnapshotRequest>,
    ) -> Result<Response<pb::GetSnapshotResponse>, Status> {
        // Also before the sources have been read: it tells why there is nothing yet.
        let pb::GetSnapshotRequest { consistency } = request.get_ref();
        self.wait(consistency.as_ref(), request.metadata()).await?;
        Ok(Response::new(super::snapshot::to_response(&self.publisher)))
    }

    /// Each revision, as long as its listener may listen.
    pub(super) fn watch_snapshot(
        &self,
        request: &Request<pb::WatchSnapshotRequest>,
    ) -> ReceiverStream<Result<pb::SnapshotRevision, Status>> {
        let standing = request.extensions().get::<Standing>().cloned();
        revisions::watch(self.publisher.clone(), standing, self.stop.clone())
    }

    /// The pods of a node, as long as their listener may listen.
    pub(super) fn watch_node_pods(
        &self,
        request: Request<pb::WatchNodePodsRequest>,
    ) -> ReceiverStream<Result<pb::NodePods, Status>> {
        let standing = request.extensions().get::<Standing>().cloned();
        node_pods::watch(self.publisher.clone(), request.into_inner().node, standing, self.stop.clone())
    }
}
