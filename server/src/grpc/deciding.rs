//! One question, decided: counted, logged, traced, and whatever goes wrong is its caller's alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use gavel_engine::Snapshot;
use gavel_proto::v1 as pb;
use gavel_telemetry::Span;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::consistency;
use super::peer::Asker;
use super::question::{Answer as _, Question, failure};
use super::service::Service;
use crate::decide::{self, Stages};
use crate::decision_log::Record;
use crate::metrics::Verdict;
use crate::publisher::Published;

/// What is known of a question beside itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    /// Who asks.
    pub(super) asker: Option<&'a Asker>,
    /// The span that tells of this question; none where it is not traced, or one of many.
    pub(super) span: Option<&'a Span>,
}

impl<'a> Circumstances<'a> {
    /// Of a call with one question.
    pub(super) fn of_one(asker: Option<&'a Asker>) -> Self {
        Self { asker, span: asker.and_then(|asker| asker.span.as_ref()) }
    }

    /// Of one question among many.
    pub(super) fn of_many(asker: Option<&'a Asker>) -> Self {
        Self { asker, span: None }
    }
}

/// When a question was read, and when it was decided; looked at for spans alone.
#[derive(Debug)]
pub(super) struct Clock {
    /// The decision is logged: the answer has to be whole.
    pub(super) is_logged: bool,
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
    /// What answers at the moment.
    ///
    /// # Errors
    /// UNAVAILABLE before every source has delivered.
    pub(super) fn published(&self) -> Result<Arc<Published>, Status> {
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
    ///
    /// # Errors
    /// INVALID_ARGUMENT when it cannot be read, DEADLINE_EXCEEDED when there is none in time.
    pub(super) async fn wait(
        &self,
        wanted: Option<&pb::Consistency>,
        metadata: &MetadataMap,
    ) -> Result<(), Status> {
        match wanted {
            None => Ok(()),
            Some(wanted) => {
                let wanted = consistency::read(wanted, &self.publisher)?;
                consistency::wait(&self.publisher, &wanted, metadata, self.max_wait).await
            }
        }
    }

    /// Decides by the snapshot, unless there is a reason already why there is no answer. `since` is when the question's
    /// turn came, and afterwards when it was over.
    ///
    /// # Errors
    /// That reason, or why the question cannot be answered; INTERNAL when deciding panicked.
    pub(super) fn one<Q: Question>(
        &self,
        snapshot: Result<&Snapshot, Status>,
        question: Q,
        circumstances: Circumstances<'_>,
        since: &mut Instant,
        decide: impl FnOnce(&Snapshot, &Q, &mut Clock) -> Result<Q::Answer, Status>,
    ) -> Result<Q::Answer, Status> {
        let Circumstances { asker, span } = circumstances;
        let is_logged = self.log.wants(asker.is_some_and(|asker| asker.span.is_some()));
        let began = (is_logged || span.is_some()).then(SystemTime::now);
        let mut clock = Clock { is_logged, runs: span.is_some(), parsed: None, decided: None };
        let decided = snapshot.and_then(|snapshot| {
            let decide = AssertUnwindSafe(|| decide(snapshot, &question, &mut clock));
            catch_unwind(decide).unwrap_or_else(|_| {
                let rpc = Q::CALL.as_str();
                tracing::error!(rpc, "a decision panicked; please report this with the request");
                Err(Status::internal("the decision failed for a reason of the server's own"))
            })
        });
        let now = Instant::now();
        let took = now - *since;
        *since = now;
        let verdict = decided.as_ref().map_or(Verdict::Error, super::question::Answer::verdict);
        self.metrics.decided(Q::CALL, verdict, took);
        let mut answer = decided.inspect_err(|status| {
            let (rpc, code) = (Q::CALL.as_str(), status.code());
            tracing::debug!(rpc, ?code, message = status.message(), "refused");
        });
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
        answer
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

    /// Decides an admission.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when the question cannot be read.
    pub(super) fn decide_admit(
        &self,
        snapshot: &Snapshot,
        request: &pb::AdmitRequest,
        clock: &mut Clock,
    ) -> Result<pb::AdmitResponse, Status> {
        self.check_sizes(request)?;
        if self.admission {
            decide::admit_staged(snapshot, request, clock)
        } else {
            Ok(decide::admit_all(snapshot, request))
        }
    }
}

/// What a span tells of a decision.
fn describe<A: super::question::Answer>(span: &Span, id: &str, verdict: Verdict, answer: Option<&A>) {
    span.set("gavel.decision_id", id.to_owned());
    span.set("gavel.verdict", verdict.as_str());
    if let Some(answer) = answer {
        span.set("gavel.policy", answer.policy().into_owned());
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
        Err(status) => Err(failure(status)),
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
