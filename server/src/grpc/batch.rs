//! Many questions in one request: one snapshot answers all of them, in their order, and each fails alone.

use std::time::{Duration, Instant};

use gavel_engine::Snapshot;
use gavel_proto::v1 as pb;
use prost::Message;
use tonic::{Request, Response, Status};
use tonic_types::StatusExt as _;

use super::deciding::Circumstances;
use super::gate::too_much;
use super::peer::Asker;
use super::service::Service;
use super::snapshot::to_duration;
use crate::decide::{self, Detail};

/// How long one request may keep a thread to itself; then it is the others' turn.
const TURN: Duration = Duration::from_micros(200);

/// Answers `BatchAdmit`.
///
/// # Errors
/// When none of the questions can be answered.
pub(super) async fn admit(
    service: &Service,
    request: Request<pb::BatchAdmitRequest>,
) -> Result<Response<pb::BatchAdmitResponse>, Status> {
    let (metadata, extensions, request) = request.into_parts();
    let asker = extensions.get::<Asker>();
    let pb::BatchAdmitRequest { questions, consistency } = request;
    service.take(questions.len(), asker, true)?;
    service.wait(consistency.as_ref(), &metadata).await?;
    let published = service.published()?;
    let mut results = Vec::with_capacity(questions.len());
    let mut turn = Turn::begin();
    for question in questions {
        let result = match service.admit_one(&published.snapshot, question, asker, &mut turn.since) {
            Ok(answer) => pb::admit_result::Result::Answer(answer),
            Err(status) => pb::admit_result::Result::Error(to_error(&status)),
        };
        results.push(pb::AdmitResult { result: Some(result) });
        turn.pass_on().await;
    }
    let staleness = service.publisher.staleness().map(to_duration);
    let revision = published.snapshot.revision();
    held(asker, pb::BatchAdmitResponse { results, revision, staleness })
}

/// Answers `BatchCheckFlow`.
///
/// # Errors
/// When none of the questions can be answered.
pub(super) async fn check_flow(
    service: &Service,
    request: Request<pb::BatchCheckFlowRequest>,
) -> Result<Response<pb::BatchCheckFlowResponse>, Status> {
    let (metadata, extensions, request) = request.into_parts();
    let asker = extensions.get::<Asker>();
    let pb::BatchCheckFlowRequest { questions, detail, consistency } = request;
    let detail = to_detail(detail)?;
    service.take(questions.len(), asker, true)?;
    service.wait(consistency.as_ref(), &metadata).await?;
    let published = service.published()?;
    let mut results = Vec::with_capacity(questions.len());
    let mut turn = Turn::begin();
    for question in questions {
        results.push(service.flow_one(&published.snapshot, question, detail, asker, &mut turn.since));
        turn.pass_on().await;
    }
    let staleness = service.publisher.staleness().map(to_duration);
    let revision = published.snapshot.revision();
    held(asker, pb::BatchCheckFlowResponse { results, revision, staleness })
}

impl Service {
    /// Takes a message of so many questions, one of which was counted when the request was let in.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when a message has more than it may, RESOURCE_EXHAUSTED when the caller asks too much.
    pub(super) fn take(
        &self,
        questions: usize,
        asker: Option<&Asker>,
        is_counted: bool,
    ) -> Result<(), Status> {
        let most = self.max_batch;
        if questions > most {
            return Err(decide::invalid(
                "questions",
                format!("there are {questions}; at most {most} are taken at once (--max-batch)"),
            ));
        }
        let questions = questions.saturating_sub(usize::from(is_counted));
        asker.map_or(Ok(()), |asker| asker.charge(questions)).map_err(too_much)
    }

    fn admit_one(
        &self,
        snapshot: &Snapshot,
        question: pb::AdmitRequest,
        asker: Option<&Asker>,
        since: &mut Instant,
    ) -> Result<pb::AdmitResponse, Status> {
        let circumstances = Circumstances::of_many(asker);
        let mut answer =
            self.one(Ok(snapshot), question, circumstances, since, |snapshot, question, clock| {
                whole(question.consistency.as_ref())?;
                self.decide_admit(snapshot, question, clock)
            })?;
        answer.revision = 0;
        Ok(answer)
    }

    /// Answers one of many flow questions.
    pub(super) fn flow_one(
        &self,
        snapshot: &Snapshot,
        question: pb::CheckFlowRequest,
        detail: Detail,
        asker: Option<&Asker>,
        since: &mut Instant,
    ) -> pb::CheckFlowResult {
        // Whoever wants it explained wants to read.
        let detail = if question.explain { Detail::Full } else { detail };
        let circumstances = Circumstances::of_many(asker);
        let answer = self.one(Ok(snapshot), question, circumstances, since, |snapshot, question, clock| {
            whole(question.consistency.as_ref())?;
            let detail = if clock.is_logged { Detail::Full } else { detail };
            decide::check_flow_in(snapshot, question, detail, clock)
        });
        let result = match answer {
            Ok(mut answer) => {
                answer.revision = 0;
                if detail == Detail::Verdict {
                    decide::leave_out_names(&mut answer);
                }
                pb::check_flow_result::Result::Answer(answer)
            }
            Err(status) => pb::check_flow_result::Result::Error(to_error(&status)),
        };
        pb::CheckFlowResult { result: Some(result) }
    }
}

/// # Errors
/// INVALID_ARGUMENT when one question among many wants a snapshot of its own.
fn whole(consistency: Option<&pb::Consistency>) -> Result<(), Status> {
    match consistency {
        None => Ok(()),
        Some(_) => Err(decide::invalid(
            "consistency",
            "one snapshot answers all questions of a message: set it there, not in one of them",
        )),
    }
}

/// How much of each answer is wanted.
///
/// # Errors
/// INVALID_ARGUMENT when it cannot be told.
pub(super) fn to_detail(detail: i32) -> Result<Detail, Status> {
    match pb::AnswerDetail::try_from(detail) {
        Ok(pb::AnswerDetail::Unspecified | pb::AnswerDetail::Full) => Ok(Detail::Full),
        Ok(pb::AnswerDetail::Verdict) => Ok(Detail::Verdict),
        Err(_) => Err(decide::invalid("detail", "must be ANSWER_DETAIL_FULL or ANSWER_DETAIL_VERDICT")),
    }
}

/// Why a question has no answer.
pub(super) fn to_error(status: &Status) -> pb::QuestionError {
    let field = status
        .get_details_bad_request()
        .and_then(|details| details.field_violations.into_iter().next())
        .map_or_else(String::new, |violation| violation.field);
    pb::QuestionError { code: status.code().into(), message: status.message().to_owned(), field }
}

/// Whoever reads slowly has the server hold the answer meanwhile.
fn held<A: Message>(asker: Option<&Asker>, answer: A) -> Result<Response<A>, Status> {
    if let Some(asker) = asker {
        asker.hold(answer.encoded_len()).map_err(too_much)?;
    }
    Ok(Response::new(answer))
}

/// When this request's turn began.
struct Turn {
    began: Instant,
    /// When the last question was decided.
    since: Instant,
}

impl Turn {
    fn begin() -> Self {
        let now = Instant::now();
        Self { began: now, since: now }
    }

    /// Lets others have the thread, once this request has had it for long enough. Also where a deadline is noticed.
    async fn pass_on(&mut self) {
        if self.since - self.began > TURN {
            tokio::task::yield_now().await;
            *self = Self::begin();
        }
    }
}
