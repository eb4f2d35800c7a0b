//! The service: load the snapshot once, decide, answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gavel_engine::Snapshot;
use gavel_proto::v1 as pb;
use gavel_proto::v1::policy_decision_server::PolicyDecision;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::gate::too_much;
use super::peer::{Asker, Standing};
use super::snapshot::to_duration;
use super::{consistency, revisions};
use crate::decide;
use crate::metrics::{Decides, Metrics, Verdict};
use crate::publisher::{Published, Publisher};
use crate::telemetry;

/// What the service is made of.
#[derive(Debug)]
pub(crate) struct Service {
    /// Whose snapshot answers.
    pub(crate) publisher: Arc<Publisher>,
    /// Where answers are counted.
    pub(crate) metrics: Arc<Metrics>,
    /// Whether admissions are looked at, or all admitted.
    pub(crate) admission: bool,
    /// Largest object taken, in bytes.
    pub(crate) max_object_bytes: usize,
    /// How long a request may wait for a snapshot that is fresh enough.
    pub(crate) max_wait: Duration,
    /// Ends the streams.
    pub(crate) stop: CancellationToken,
}

/// An answer of a decision.
trait Answer: prost::Message {
    /// How old what it was made from is.
    fn set_staleness(&mut self, staleness: pbjson_types::Duration);
}

macro_rules! answers {
    ($($message:ident),*) => {$(
        impl Answer for pb::$message {
            fn set_staleness(&mut self, staleness: pbjson_types::Duration) {
                self.staleness = Some(staleness);
            }
        }
    )*};
}

answers!(AdmitResponse, CheckFlowResponse, AuthorizeResponse);

impl Service {
    fn published(&self) -> Result<Arc<Published>, Status> {
        self.publisher.published().ok_or_else(|| {
            let waiting: Vec<String> = self
                .publisher
                .sources()
                .into_iter()
                .filter(|source| source.last_synced_at.is_none())
                .map(|source| format!("{} ({})", source.name, source.detail))
                .collect();
            Status::unavailable(format!("not ready, waiting for {}", waiting.join(", ")))
        })
    }

    /// Waits for a snapshot as fresh as the request wants it.
    async fn wait(&self, wanted: Option<&pb::Consistency>, metadata: &MetadataMap) -> Result<(), Status> {
        match wanted {
            None => Ok(()),
            Some(wanted) => {
                let wanted = consistency::read(wanted, &self.publisher)?;
                consistency::wait(&self.publisher, &wanted, metadata, self.max_wait).await
            }
        }
    }

    /// An API server takes no larger objects; whoever sends one did not get it from there.
    fn check_sizes(&self, request: &pb::AdmitRequest) -> Result<(), Status> {
        for (field, object) in [("object", &request.object), ("old_object", &request.old_object)] {
            if object.len() > self.max_object_bytes {
                let (found, most) = (object.len(), self.max_object_bytes);
                return Err(decide::invalid(
                    field,
                    format!("the object has {found} bytes; at most {most} are taken"),
                ));
            }
        }
        Ok(())
    }

    /// Waits, decides, counts, and turns a panic into INTERNAL for this one caller.
    async fn answer<Q, A: Answer>(
        &self,
        rpc: Decides,
        request: &Request<Q>,
        wanted: Option<&pb::Consistency>,
        decide: impl FnOnce(&Snapshot, &Q) -> Result<A, Status>,
        verdict: impl FnOnce(&A) -> Verdict,
    ) -> Result<Response<A>, Status> {
        let waited = self.wait(wanted, request.metadata()).await;
        let span = telemetry::span(rpc, request.metadata());
        let _entered = span.enter();
        let started = Instant::now();
        let answer = waited.and_then(|()| self.published()).and_then(|published| {
            catch_unwind(AssertUnwindSafe(|| decide(&published.snapshot, request.get_ref()))).unwrap_or_else(
                |_| {
                    tracing::error!(
                        rpc = rpc.as_str(),
                        "a decision panicked; please report this with the request"
                    );
                    Err(Status::internal("the decision failed for a reason of the server's own"))
                },
            )
        });
        let verdict = answer.as_ref().map_or(Verdict::Error, verdict);
        self.metrics.decided(rpc, verdict, started.elapsed());
        match answer {
            Ok(mut answer) => {
                if let Some(staleness) = self.publisher.staleness() {
                    answer.set_staleness(to_duration(staleness));
                }
                // Whoever reads slowly has the server hold the answer meanwhile.
                if let Some(asker) = request.extensions().get::<Asker>() {
                    asker.hold(answer.encoded_len()).map_err(too_much)?;
                }
                Ok(Response::new(answer))
            }
            Err(status) => {
                let code = status.code();
                tracing::debug!(rpc = rpc.as_str(), ?code, message = status.message(), "refused");
                Err(status)
            }
        }
    }
}

#[tonic::async_trait]
impl PolicyDecision for Service {
    async fn admit(&self, request: Request<pb::AdmitRequest>) -> Result<Response<pb::AdmitResponse>, Status> {
        let decide = |snapshot: &Snapshot, request: &pb::AdmitRequest| {
            self.check_sizes(request)?;
            if self.admission {
                decide::admit(snapshot, request)
            } else {
                Ok(decide::admit_all(snapshot, request))
            }
        };
        let wanted = request.get_ref().consistency.as_ref();
        self.answer(Decides::Admit, &request, wanted, decide, |answer| Verdict::of(answer.allowed)).await
    }

    async fn check_flow(
        &self,
        request: Request<pb::CheckFlowRequest>,
    ) -> Result<Response<pb::CheckFlowResponse>, Status> {
        let verdict = |answer: &pb::CheckFlowResponse| Verdict::of(answer.verdict() == pb::Verdict::Allow);
        let wanted = request.get_ref().consistency.as_ref();
        self.answer(Decides::CheckFlow, &request, wanted, decide::check_flow, verdict).await
    }

    async fn authorize(
        &self,
        request: Request<pb::AuthorizeRequest>,
    ) -> Result<Response<pb::AuthorizeResponse>, Status> {
        let verdict = |answer: &pb::AuthorizeResponse| Verdict::of(answer.allowed);
        let wanted = request.get_ref().consistency.as_ref();
        self.answer(Decides::Authorize, &request, wanted, decide::authorize, verdict).await
    }

    async fn get_snapshot(
        &self,
        request: Request<pb::GetSnapshotRequest>,
    ) -> Result<Response<pb::GetSnapshotResponse>, Status> {
        // Also before the sources have been read: it tells why there is nothing yet.
        let pb::GetSnapshotRequest { consistency } = request.get_ref();
        self.wait(consistency.as_ref(), request.metadata()).await?;
        Ok(Response::new(super::snapshot::to_response(&self.publisher)))
    }

    type WatchSnapshotStream = ReceiverStream<Result<pb::SnapshotRevision, Status>>;

    async fn watch_snapshot(
        &self,
        request: Request<pb::WatchSnapshotRequest>,
    ) -> Result<Response<Self::WatchSnapshotStream>, Status> {
        let standing = request.extensions().get::<Standing>().cloned();
        Ok(Response::new(revisions::watch(self.publisher.clone(), standing, self.stop.clone())))
    }
}
