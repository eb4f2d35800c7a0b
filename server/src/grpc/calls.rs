//! Which call is answered by what.
//!
//! As in tonic's generated server, without a router and without boxes: the gate knows already what is asked.

use std::sync::Arc;

use gavel_proto::v1 as pb;
use prost::Message;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tower::{Service as _, service_fn};

use super::body::QuestionBody;
use super::codec::{Answered, Wire};
use super::service::Service;
use super::{batch, flow_stream};
use crate::metrics::Rpc;

/// Room for a question, to begin with, in bytes: one that names some things, and one with an object or many of them.
const SMALL: usize = 256;
const LARGE: usize = 8 << 10;

/// What answers, behind the gate.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(super) service: Arc<Service>,
    /// Health and reflection.
    pub(super) others: Routes,
    /// Largest message taken, in bytes.
    pub(super) max_request_bytes: usize,
}

impl Calls {
    /// Answers a request for this call.
    pub(super) async fn answer(
        &self,
        rpc: Rpc,
        request: http::Request<QuestionBody>,
    ) -> http::Response<Body> {
        let service = &self.service;
        match rpc {
            Rpc::CheckFlow => self.unary(SMALL, request, |asked| service.check_flow(asked)).await,
            Rpc::Admit => self.unary(LARGE, request, |asked| service.admit(asked)).await,
            Rpc::Authorize => self.unary(SMALL, request, |asked| service.authorize(asked)).await,
            Rpc::BatchCheckFlow => {
                self.unary(LARGE, request, |asked| batch::check_flow(service, asked)).await
            }
            Rpc::BatchAdmit => self.unary(LARGE, request, |asked| batch::admit(service, asked)).await,
            Rpc::GetSnapshot => self.unary(SMALL, request, |asked| service.get_snapshot(asked)).await,
            Rpc::StreamCheckFlow => {
                let answers =
                    service_fn(async |asked| Ok(Response::new(flow_stream::answer(service.clone(), asked))));
                self.grpc(LARGE).streaming(answers, request).await
            }
            Rpc::WatchSnapshot => {
                let revisions = service_fn(async |asked: Request<pb::WatchSnapshotRequest>| {
                    Ok(Response::new(service.watch_snapshot(&asked)))
                });
                self.grpc(SMALL).server_streaming(revisions, request).await
            }
            Rpc::WatchNodePods => {
                let pods = service_fn(async |asked: Request<pb::WatchNodePodsRequest>| {
                    Ok(Response::new(service.watch_node_pods(asked)))
                });
                self.grpc(SMALL).server_streaming(pods, request).await
            }
            Rpc::Check | Rpc::HealthWatch | Rpc::Reflection | Rpc::Other => {
                let Ok(response) = self.others.clone().call(request).await;
                response
            }
        }
    }

    async fn unary<Q, A, F>(
        &self,
        room: usize,
        request: http::Request<QuestionBody>,
        answer: impl FnMut(Request<Q>) -> F,
    ) -> http::Response<Body>
    where
        Q: Message + Default + 'static,
        A: Answered,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.grpc(room).unary(service_fn(answer), request).await
    }

    fn grpc<Q: Message + Default + 'static, A: Answered>(&self, room: usize) -> Grpc<Wire<Q, A>> {
        Grpc::new(Wire::new(room)).max_decoding_message_size(self.max_request_bytes)
    }
}
