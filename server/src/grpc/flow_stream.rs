//! `StreamCheckFlow`: questions as they come, answers in their order. There is no task and no channel behind it: whoever
//! sends the answers asks for the next, so that a caller that does not read is not read from either.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use futures_util::{Stream, stream};
use gavel_proto::v1 as pb;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status, Streaming};

use super::batch::{Flows, to_detail, to_error};
use super::codec::Written;
use super::peer::{Asker, Standing};
use super::service::Service;
use super::snapshot::to_duration;
use crate::decide::Whole;

/// Answers of one message, about: more questions are not read before these have been sent.
const ENOUGH: usize = 256;

/// One stream.
struct Asking {
    service: Arc<Service>,
    questions: Streaming<pb::StreamCheckFlowRequest>,
    /// Read, and not answered yet.
    next: Option<Result<pb::StreamCheckFlowRequest, Status>>,
    asker: Option<Asker>,
    standing: Option<Standing>,
    /// The connection has come of age.
    ending: CancellationToken,
    /// How many were answered.
    answered: u64,
}

/// The answers to the questions of a stream.
pub(super) fn answer(
    service: Arc<Service>,
    request: Request<Streaming<pb::StreamCheckFlowRequest>>,
) -> impl Stream<Item = Result<Written, Status>> + Send + use<> {
    let (_, extensions, questions) = request.into_parts();
    let standing = extensions.get::<Standing>().cloned();
    let ending = standing.as_ref().map(|standing| standing.ending.clone()).unwrap_or_default();
    let asker = extensions.get::<Asker>().cloned();
    let asking = Asking { service, questions, next: None, asker, standing, ending, answered: 0 };
    stream::try_unfold(asking, |mut asking| async move {
        Ok(asking.answers().await?.map(|answers| (answers, asking)))
    })
}

impl Asking {
    /// The answers to what has come meanwhile; none when there are no more questions.
    ///
    /// # Errors
    /// Why the stream ends before its caller ended it.
    async fn answers(&mut self) -> Result<Option<Written>, Status> {
        // The last answers have been sent.
        if let Some(slot) = self.asker.as_ref().and_then(|asker| asker.slot.as_ref()) {
            slot.settle();
        }
        let Some(mut message) = self.next().await? else { return Ok(None) };
        // Of a stream, no time is left at which its caller would give up.
        self.service.wait(message.consistency.as_ref(), &MetadataMap::new()).await?;
        let published = self.service.published()?;
        if let Some(standing) = &self.standing {
            standing.check(Some(&published.snapshot))?;
        }
        let wanted = message.detail;
        let detail = to_detail(wanted)?;
        let asker = self.asker.as_ref();
        let questions = message.questions.len().min(self.service.max_batch);
        let mut flows = Flows::new(Whole::Stream(self.answered), questions, detail);
        let mut since = Instant::now();
        let mut messages = 0;
        loop {
            match self.service.take(message.questions.len(), asker, false) {
                Ok(()) => {
                    for question in message.questions {
                        flows.answer(&self.service, &published.snapshot, question, asker, &mut since);
                    }
                }
                Err(status) => {
                    let error = to_error(&status);
                    message.questions.iter().for_each(|_| flows.results.error(&error));
                }
            }
            messages += 1;
            // Messages may be without questions.
            if flows.results.count() >= ENOUGH || messages >= ENOUGH {
                break;
            }
            let come = poll_fn(|cx| Poll::Ready(Pin::new(&mut self.questions).poll_next(cx))).await;
            match come {
                // What has come already is answered along.
                Poll::Ready(Some(Ok(more))) if more.consistency.is_none() && more.detail == wanted => {
                    message = more;
                }
                // It wants to be waited for, or something else, or there is something wrong: these are answered first.
                Poll::Ready(Some(other)) => {
                    self.next = Some(other);
                    break;
                }
                // Asked again, it says so again.
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        self.answered += flows.results.count() as u64;
        let staleness = self.service.publisher.staleness().map(to_duration);
        let answers = flows.results.into_bytes(published.snapshot.revision(), staleness.as_ref());
        if let Some(asker) = &self.asker {
            asker.hold(answers.len())?;
        }
        Ok(Some(Written(answers)))
    }

    /// The next message, waited for.
    ///
    /// # Errors
    /// When it cannot be read, and when the stream has to end.
    async fn next(&mut self) -> Result<Option<pb::StreamCheckFlowRequest>, Status> {
        if let Some(next) = self.next.take() {
            return next.map(Some);
        }
        tokio::select! {
            biased;
            () = self.service.stop.cancelled() => Err(Status::unavailable("the server is stopping")),
            () = self.ending.cancelled() => {
                Err(Status::unavailable("the connection has come of age: go on by a new one"))
            }
            message = self.questions.message() => message,
        }
    }
}
