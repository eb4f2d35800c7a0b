//! Many questions in one request: one snapshot answers all of them, in their order, and each fails alone.

use std::time::{Duration, Instant};

use gavel_engine::Snapshot;
use gavel_proto::v1 as pb;
use prost::Message as _;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use tonic_types::StatusExt as _;

use super::codec::Written;
use super::deciding::Circumstances;
use super::peer::Asker;
use super::service::Service;
use super::snapshot::to_duration;
use crate::decide::{self, Detail, FlowResults, Whole};

/// How long one request may keep a thread to itself; then it is the others' turn.
const TURN: Duration = Duration::from_micros(200);

/// What was wanted of many: by which snapshot it was answered, and how old what that was made from is.
struct Answered {
    revision: u64,
    staleness: Option<pbjson_types::Duration>,
}

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
    let mut results = Vec::with_capacity(questions.len().min(service.max_batch));
    let one = |snapshot: &Snapshot, question, since: &mut Instant| {
        results.push(service.admit_one(snapshot, question, asker, since));
    };
    let Answered { revision, staleness } =
        service.many(questions, consistency.as_ref(), &metadata, asker, one).await?;
    let answer = pb::BatchAdmitResponse { results, revision, staleness };
    hold(asker, answer.encoded_len())?;
    Ok(Response::new(answer))
}

/// Answers `BatchCheckFlow`.
///
/// # Errors
/// When none of the questions can be answered.
pub(super) async fn check_flow(
    service: &Service,
    request: Request<pb::BatchCheckFlowRequest>,
) -> Result<Response<Written>, Status> {
    let (metadata, extensions, request) = request.into_parts();
    let asker = extensions.get::<Asker>();
    let pb::BatchCheckFlowRequest { questions, detail, consistency } = request;
    let detail = to_detail(detail)?;
    let mut flows = Flows::new(Whole::Batch, questions.len().min(service.max_batch), detail);
    let one = |snapshot: &Snapshot, question, since: &mut Instant| {
        flows.answer(service, snapshot, question, asker, since);
    };
    let Answered { revision, staleness } =
        service.many(questions, consistency.as_ref(), &metadata, asker, one).await?;
    let answer = flows.results.into_bytes(revision, staleness.as_ref());
    hold(asker, answer.len())?;
    Ok(Response::new(Written(answer)))
}

impl Service {
    /// Answers each question by the snapshot that is current once it is as fresh as wanted.
    ///
    /// # Errors
    /// When none of them can be answered.
    async fn many<Q>(
        &self,
        questions: Vec<Q>,
        consistency: Option<&pb::Consistency>,
        metadata: &MetadataMap,
        asker: Option<&Asker>,
        mut one: impl FnMut(&Snapshot, Q, &mut Instant),
    ) -> Result<Answered, Status> {
        self.take(questions.len(), asker, true)?;
        self.wait(consistency, metadata).await?;
        let published = self.published()?;
        let mut turn = Turn::begin();
        for question in questions {
            one(&published.snapshot, question, &mut turn.since);
            turn.pass_on().await;
        }
        let staleness = self.publisher.staleness().map(to_duration);
        Ok(Answered { revision: published.snapshot.revision(), staleness })
    }

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
        asker.map_or(Ok(()), |asker| asker.charge(questions))
    }

    /// Answers one of many admissions.
    fn admit_one(
        &self,
        snapshot: &Snapshot,
        question: pb::AdmitRequest,
        asker: Option<&Asker>,
        since: &mut Instant,
    ) -> pb::AdmitResult {
        let circumstances = Circumstances::of_many(asker);
        let answer = self.one(Ok(snapshot), question, circumstances, since, |snapshot, question, clock| {
            whole(question.consistency.as_ref())?;
            self.decide_admit(snapshot, question, clock)
        });
        let result = match answer {
            Ok(answer) => pb::admit_result::Result::Answer(pb::AdmitResponse { revision: 0, ..answer }),
            Err(status) => pb::admit_result::Result::Error(to_error(&status)),
        };
        pb::AdmitResult { result: Some(result) }
    }
}

/// Flow questions among many, answered one after the other.
pub(super) struct Flows {
    pub(super) results: FlowResults,
    detail: Detail,
    /// Room for an answer.
    buffer: Vec<u8>,
}

impl Flows {
    /// About so many, in as much detail as is wanted.
    pub(super) fn new(whole: Whole, questions: usize, detail: Detail) -> Self {
        Self { results: FlowResults::new(whole, questions), detail, buffer: Vec::new() }
    }

    /// Answers the next one.
    pub(super) fn answer(
        &mut self,
        service: &Service,
        snapshot: &Snapshot,
        question: pb::CheckFlowRequest,
        asker: Option<&Asker>,
        since: &mut Instant,
    ) {
        // Whoever wants it explained wants to read.
        let wanted = if question.explain { Detail::Full } else { self.detail };
        let mut decided = wanted;
        let buffer = std::mem::take(&mut self.buffer);
        let circumstances = Circumstances::of_many(asker);
        let answer =
            service.one(Ok(snapshot), question, circumstances, since, |snapshot, question, clock| {
                whole(question.consistency.as_ref())?;
                if clock.is_logged {
                    decided = wanted.with_names();
                }
                decide::check_flow_in(snapshot, question, decided, buffer, clock)
            });
        let answer = match answer {
            Ok(answer) if decided != wanted => answer.reduced_to(wanted),
            answer => answer,
        };
        match answer {
            Ok(answer) => {
                self.results.answer(&answer);
                self.buffer = answer.into_buffer();
            }
            Err(status) => self.results.error(&to_error(&status)),
        }
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
        Ok(pb::AnswerDetail::Cacheable) => Ok(Detail::Cacheable),
        Err(_) => Err(decide::invalid(
            "detail",
            "must be ANSWER_DETAIL_FULL, ANSWER_DETAIL_VERDICT or ANSWER_DETAIL_CACHEABLE",
        )),
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

/// Counts an answer of so many bytes until it has been sent.
fn hold(asker: Option<&Asker>, bytes: usize) -> Result<(), Status> {
    asker.map_or(Ok(()), |asker| asker.hold(bytes))
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
