//! The floor: what tonic costs for messages of the same sizes, with nothing behind it.
//!
//! Connections are served as `gavel-server` serves them, by hyper with the same HTTP/2 settings, and the handlers are
//! empty: the answer is so many bytes as the question asks for, of a buffer that is there already. There is neither a
//! gate nor a router before them, so that the floor is lower than that of any real service.

mod client;
mod serve;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::uri::PathAndQuery;
use hyper::body::Incoming;
use prost::Message;
use tonic::body::Body;
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

pub use client::{EchoClient, EchoStream};
pub use serve::{Listen, Mode, serve};

const UNARY: &str = "/gavel.loadtest.Echo/Unary";
const STREAM: &str = "/gavel.loadtest.Echo/Stream";
/// Answers are parts of this.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// A message of any size.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Blob {
    /// How large the answer is to be on the wire.
    #[prost(uint32, tag = "1")]
    pub answer_bytes: u32,
    /// What fills the message.
    #[prost(bytes = "bytes", tag = "2")]
    pub body: Bytes,
}

impl Blob {
    /// A message of so many bytes, as far as that can be, that asks for an answer of so many.
    pub fn of_size(bytes: usize, answer_bytes: usize) -> Self {
        let answer_bytes = u32::try_from(answer_bytes).unwrap_or(u32::MAX);
        let mut blob = Self { answer_bytes, body: Bytes::new() };
        let room = bytes.saturating_sub(blob.encoded_len()).min(ZEROS.len());
        // A tag and a length that grows with what it is the length of.
        let length = [2, 3, 4]
            .into_iter()
            .map(|around| room.saturating_sub(around))
            .find(|length| 1 + prost::encoding::encoded_len_varint(*length as u64) + length <= room);
        blob.body = Bytes::from_static(&ZEROS[..length.unwrap_or(0)]);
        blob
    }

    fn answer(&self) -> Self {
        Self::of_size(self.answer_bytes as usize, 0)
    }
}

fn path(path: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(path)
}

/// Answers one request.
async fn answer(request: http::Request<Incoming>) -> Result<http::Response<Body>, Infallible> {
    let mut grpc = Grpc::new(ProstCodec::<Blob, Blob>::default());
    Ok(match request.uri().path() {
        UNARY => grpc.unary(Unary, request).await,
        STREAM => grpc.streaming(Both, request).await,
        other => Status::unimplemented(format!("there is no {other}")).into_http(),
    })
}

struct Unary;

impl UnaryService<Blob> for Unary {
    type Response = Blob;
    type Future = Ready<Result<Response<Blob>, Status>>;

    fn call(&mut self, request: Request<Blob>) -> Self::Future {
        ready(Ok(Response::new(request.get_ref().answer())))
    }
}

struct Both;

impl StreamingService<Blob> for Both {
    type Response = Blob;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Blob, Status>> + Send>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Blob>>) -> Self::Future {
        let answers = request.into_inner().map(|blob| blob.map(|blob| blob.answer()));
        ready(Ok(Response::new(Box::pin(answers) as Self::ResponseStream)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for bytes in [0, 1, 2, 3, 9, 60, 130, 131, 132, 5000, 20_000] {
            let answer = Blob::of_size(bytes, 0).encoded_len();
            assert!(bytes.saturating_sub(answer) < 3 && answer <= bytes, "{bytes}: {answer}");
        }
        let question = Blob::of_size(70, 48);
        assert_eq!((question.encoded_len(), question.answer().encoded_len()), (70, 48));
    }
}
