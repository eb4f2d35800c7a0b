//! The service: load the snapshot once, decide, answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use gavel_engine::Snapshot;
use gavel_proto::v1 as pb;
use gavel_proto::v1::policy_decision_server::PolicyDecision;
use gavel_telemetry::Span;
use prost::Message as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::gate::too_much;
use super::peer::{Asker, Standing};
use super::question::{Answer as _, Question};
use super::snapshot::to_duration;
use super::{consistency, revisions};
use crate::decide::{self, Stages};
use crate::decision_log::{DecisionIds, DecisionLog, Record};
use crate::metrics::{Metrics, Verdict};
use crate::publisher::{Published, Publisher};

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
    /// How long a request may wait for a snapshot that is fresh enough.
    pub(crate) max_wait: Duration,
    /// Ends the streams.
    pub(crate) stop: CancellationToken,
}

/// When a question was read, and when it was decided; looked at for spans alone.
#[derive(Debug)]
struct Clock {
    runs: bool,
    parsed: Option<SystemTime>,
    decided: Option<SystemTime>,
}

impl Stages for Clock {
    fn parsed(&mut self) {
        self.parsed = self.runs.then(SystemTime::now);
    }

    fn decided(&mut self) {
        self.decided = self.runs.then(SystemTime::now);
    }
}

impl Clock {
    /// The spans of the stages.
    fn tell(&self, span: &Span, from: SystemTime, to: SystemTime) {
        let Some(parsed) = self.parsed else { return span.part("parse", from, to) };
        span.part("parse", from, parsed);
        let Some(decided) = self.decided else { return span.part("decide", parsed, to) };
        span.part("decide", parsed, decided);
        span.part("encode", decided, to);
    }
}

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

    /// Waits, decides, counts, logs, and turns a panic into INTERNAL for this one caller.
    async fn answer<Q: Question>(
        &self,
        request: Request<Q>,
        decide: impl FnOnce(&Snapshot, &Q, &mut Clock) -> Result<Q::Answer, Status>,
    ) -> Result<Response<Q::Answer>, Status> {
        let (metadata, extensions, question) = request.into_parts();
        let waited = self.wait(question.consistency(), &metadata).await;
        let asker = extensions.get::<Asker>();
        let span = asker.and_then(|asker| asker.span.as_ref());
        let _entered = span.map(Span::enter);
        let is_logged = self.log.wants(span.is_some());
        let began = (is_logged || span.is_some()).then(SystemTime::now);
        let mut clock = Clock { runs: span.is_some(), parsed: None, decided: None };
        let started = Instant::now();
        let decided = waited.and_then(|()| self.published()).and_then(|published| {
            let decide = AssertUnwindSafe(|| decide(&published.snapshot, &question, &mut clock));
            catch_unwind(decide).unwrap_or_else(|_| {
                let rpc = Q::CALL.as_str();
                tracing::error!(rpc, "a decision panicked; please report this with the request");
                Err(Status::internal("the decision failed for a reason of the server's own"))
            })
        });
        let took = started.elapsed();
        let verdict = decided.as_ref().map_or(Verdict::Error, super::question::Answer::verdict);
        self.metrics.decided(Q::CALL, verdict, took);
        let mut answer = decided.inspect_err(|status| {
            let (rpc, code) = (Q::CALL.as_str(), status.code());
            tracing::debug!(rpc, ?code, message = status.message(), "refused");
        });
        if let (Ok(answer), Some(staleness)) = (&mut answer, self.publisher.staleness()) {
            answer.set_staleness(to_duration(staleness));
        }
        if let Some(began) = began {
            let id = self.ids.next();
            if let Ok(answer) = &mut answer {
                answer.set_decision_id(id.clone());
            }
            if let Some(span) = span {
                clock.tell(span, began, SystemTime::now());
                describe(span, &id, verdict, answer.as_ref().ok());
            }
            if is_logged {
                self.log.record(record(id, began, took, asker, question, &answer));
            }
        }
        let answer = answer?;
        // Whoever reads slowly has the server hold the answer meanwhile.
        if let Some(asker) = asker {
            asker.hold(answer.encoded_len()).map_err(too_much)?;
        }
        Ok(Response::new(answer))
    }
}

/// What a span tells of a decision.
fn describe<A: super::question::Answer>(span: &Span, id: &str, verdict: Verdict, answer: Option<&A>) {
    span.set("gavel.decision_id", id.to_owned());
    span.set("gavel.verdict", verdict.as_str());
    if let Some(answer) = answer {
        span.set("gavel.policy", answer.policy().to_owned());
        span.set("gavel.revision", answer.revision().cast_signed());
    }
}

fn record<Q: Question>(
    id: String,
    at: SystemTime,
    took: Duration,
    asker: Option<&Asker>,
    question: Q,
    answer: &Result<Q::Answer, Status>,
) -> Record {
    let caller = asker.and_then(|asker| asker.caller.as_ref());
    let span = asker.and_then(|asker| asker.span.as_ref());
    let answer = match answer {
        Ok(answer) => Ok(answer.clone()),
        Err(status) => Err((format!("{:?}", status.code()), status.message().to_owned())),
    };
    Record {
        at,
        id,
        caller: caller.map(|caller| caller.user.name.clone()),
        authenticated_by: match caller.map(|caller| caller.method) {
            Some(gavel_access::Method::Certificate) => "certificate",
            Some(gavel_access::Method::Token) => "token",
            Some(gavel_access::Method::Local) | None => "nothing",
        },
        trace: span.map(Span::ids),
        took,
        question: question.logged(answer),
    }
}

#[tonic::async_trait]
impl PolicyDecision for Service {
    async fn admit(&self, request: Request<pb::AdmitRequest>) -> Result<Response<pb::AdmitResponse>, Status> {
        self.answer(request, |snapshot, request, clock| {
            self.check_sizes(request)?;
            if self.admission {
                decide::admit_staged(snapshot, request, clock)
            } else {
                Ok(decide::admit_all(snapshot, request))
            }
        })
        .await
    }

    async fn check_flow(
        &self,
        request: Request<pb::CheckFlowRequest>,
    ) -> Result<Response<pb::CheckFlowResponse>, Status> {
        self.answer(request, decide::check_flow_staged).await
    }

    async fn authorize(
        &self,
        request: Request<pb::AuthorizeRequest>,
    ) -> Result<Response<pb::AuthorizeResponse>, Status> {
        self.answer(request, decide::authorize_staged).await
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
