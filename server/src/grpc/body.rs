//! Bodies: what a caller sends is counted, and what it is sent tells when the request has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;
use tonic::{Code, Status};

use super::ended::Ended;
use super::gate::too_much;
use crate::limits::Slot;

/// What a caller sends.
#[derive(Debug)]
pub(super) struct QuestionBody {
    inner: Incoming,
    slot: Option<Arc<Slot>>,
}

impl QuestionBody {
    pub(super) fn new(inner: Incoming, slot: Option<Arc<Slot>>) -> Self {
        Self { inner, slot }
    }
}

impl Body for QuestionBody {
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let (Some(slot), Some(Ok(frame))) = (&self.slot, &frame)
            && let Some(data) = frame.data_ref()
            && let Err(why) = slot.hold(data.len())
        {
            return Poll::Ready(Some(Err(too_much(why).into())));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What a caller is sent. The request ends with it.
#[derive(Debug)]
pub(super) struct AnswerBody {
    inner: tonic::body::Body,
    ended: Ended,
    /// When a stream that must not last for ever is cut off.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl AnswerBody {
    pub(super) fn new(inner: tonic::body::Body, ended: Ended, deadline: Option<Pin<Box<Sleep>>>) -> Self {
        Self { inner, ended, deadline }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                if let Some(deadline) = &mut self.deadline {
                    ready!(deadline.as_mut().poll(cx));
                    return Poll::Ready(self.cut_off());
                }
                return Poll::Pending;
            }
        };
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.ended.with(code_of(trailers));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl AnswerBody {
    fn cut_off(&mut self) -> Option<Result<Frame<Bytes>, Status>> {
        self.deadline = None;
        self.inner = tonic::body::Body::empty();
        self.ended.with(Code::DeadlineExceeded);
        let mut trailers = HeaderMap::new();
        let status = Status::deadline_exceeded("the stream lasted for longer than the server allows");
        // Fails only for a message that no header can hold.
        let _ = status.add_header(&mut trailers);
        Some(Ok(Frame::trailers(trailers)))
    }
}

/// `grpc-status` of headers or trailers; without one, it is not known what came of it.
pub(super) fn code_of(headers: &HeaderMap) -> Code {
    headers.get(Status::GRPC_STATUS).map_or(Code::Unknown, |value| Code::from_bytes(value.as_bytes()))
}
