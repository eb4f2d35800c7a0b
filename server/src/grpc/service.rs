//! The service: load the snapshot once, decide, answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use gavel_engine::Snapshot;
use gavel_proto::v1 as pb;
use gavel_proto::v1::policy_decision_server::PolicyDecision;
use tonic::{Request, Response, Status};

use crate::decide;
use crate::metrics::{Metrics, Rpc, Verdict};
use crate::publisher::{Published, Publisher};
use crate::telemetry;

/// Answers `gavel.v1.PolicyDecision`.
#[derive(Debug)]
pub(crate) struct Service {
    publisher: Arc<Publisher>,
    metrics: Arc<Metrics>,
    /// Whether admissions are looked at, or all admitted.
    admission: bool,
}

impl Service {
    pub(crate) fn new(publisher: Arc<Publisher>, metrics: Arc<Metrics>, admission: bool) -> Self {
        Self { publisher, metrics, admission }
    }

    fn published(&self) -> Result<Arc<Published>, Status> {
        let current = self.publisher.current().and_then(|guard| guard.as_ref().cloned());
        current.ok_or_else(|| {
            let source = self.publisher.source();
            Status::unavailable(format!("not ready: source {} has not been read yet", source.name))
        })
    }

    /// Decides, counts, and turns a panic into INTERNAL for this one caller.
    fn answer<Q, A>(
        &self,
        rpc: Rpc,
        request: &Request<Q>,
        decide: impl FnOnce(&Snapshot, &Q) -> Result<A, Status>,
        verdict: impl FnOnce(&A) -> Verdict,
    ) -> Result<Response<A>, Status> {
        let span = telemetry::span(rpc, request.metadata());
        let _entered = span.enter();
        let started = Instant::now();
        let answer = self.published().and_then(|published| {
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
        if let Err(status) = &answer {
            tracing::debug!(rpc = rpc.as_str(), code = ?status.code(), message = status.message(), "refused");
        }
        answer.map(Response::new)
    }
}

#[tonic::async_trait]
impl PolicyDecision for Service {
    async fn admit(&self, request: Request<pb::AdmitRequest>) -> Result<Response<pb::AdmitResponse>, Status> {
        let decide = |snapshot: &Snapshot, request: &pb::AdmitRequest| {
            if self.admission {
                decide::admit(snapshot, request)
            } else {
                Ok(decide::admit_all(snapshot, request))
            }
        };
        self.answer(Rpc::Admit, &request, decide, |answer| Verdict::of(answer.allowed))
    }

    async fn check_flow(
        &self,
        request: Request<pb::CheckFlowRequest>,
    ) -> Result<Response<pb::CheckFlowResponse>, Status> {
        self.answer(Rpc::CheckFlow, &request, decide::check_flow, |answer| {
            Verdict::of(answer.verdict() == pb::Verdict::Allow)
        })
    }

    async fn authorize(
        &self,
        request: Request<pb::AuthorizeRequest>,
    ) -> Result<Response<pb::AuthorizeResponse>, Status> {
        self.answer(Rpc::Authorize, &request, decide::authorize, |answer| Verdict::of(answer.allowed))
    }

    async fn get_snapshot(
        &self,
        _request: Request<pb::GetSnapshotRequest>,
    ) -> Result<Response<pb::GetSnapshotResponse>, Status> {
        // Also before the source has been read: it tells why there is nothing yet.
        let current = self.publisher.current().and_then(|guard| guard.as_ref().cloned());
        Ok(Response::new(super::snapshot::to_response(current.as_deref(), self.publisher.source())))
    }
}
