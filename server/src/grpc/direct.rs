//! Requests without a connection, for benchmarks (`server/benches`): what a call costs beside HTTP/2, and what of it is
//! telemetry. Spans, metrics and the decision log are those of the gate and the service, made from the same settings.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gavel_proto::v1 as pb;
use gavel_telemetry::Tracing;
use http::HeaderMap;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use super::ended::Ended;
use super::gate::{Asked, span};
use super::peer::Asker;
use super::service::Service;
use crate::config::Config;
use crate::decide::FlowAnswer;
use crate::metrics::{Decides, Metrics, Rpc, Verdict};
use crate::publisher::Publisher;
use crate::run::Telling;
use crate::wiring;

/// Answers without a connection, limits and access.
#[derive(Debug)]
pub struct Direct {
    service: Service,
    tracing: Tracing,
}

impl Direct {
    /// Answers from what is published.
    ///
    /// # Errors
    /// When decisions cannot be logged where the configuration says.
    pub fn new(config: &Config, publisher: Arc<Publisher>, telling: Telling) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new(config.looks_at_admissions()));
        let log = wiring::decision_log(config, metrics.clone(), telling.records)?;
        let service = wiring::service(config, publisher, metrics, log, CancellationToken::new());
        Ok(Self { service, tracing: telling.tracing })
    }

    /// Answers a `CheckFlow` that comes with these headers.
    ///
    /// # Errors
    /// As the service.
    #[inline(never)]
    pub fn check_flow(
        &self,
        headers: &HeaderMap,
        question: pb::CheckFlowRequest,
    ) -> Result<FlowAnswer, Status> {
        let path = "/gavel.v1.PolicyDecision/CheckFlow";
        self.ask(path, headers, question, |request| self.service.check_flow(request))
    }

    /// Answers an `Admit` that comes with these headers.
    ///
    /// # Errors
    /// As the service.
    #[inline(never)]
    pub fn admit(
        &self,
        headers: &HeaderMap,
        question: pb::AdmitRequest,
    ) -> Result<pb::AdmitResponse, Status> {
        let path = "/gavel.v1.PolicyDecision/Admit";
        self.ask(path, headers, question, |request| self.service.admit(request))
    }

    fn ask<Q, A, F: Future<Output = Result<Response<A>, Status>>>(
        &self,
        path: &str,
        headers: &HeaderMap,
        question: Q,
        answer: impl FnOnce(Request<Q>) -> F,
    ) -> Result<A, Status> {
        let asked = Asked::of(path);
        let mut ended = Ended::new(self.service.metrics.clone(), asked.rpc);
        ended.span = span(&self.tracing, asked, None, path, headers);
        let mut request = Request::new(question);
        request.extensions_mut().insert(Asker {
            caller: None,
            slot: None,
            budget: None,
            span: ended.span.clone(),
        });
        let mut answer = std::pin::pin!(answer(request));
        // Ready at once: it waits for fresher snapshots alone, and those cannot come in the middle of a benchmark.
        let answered = match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answered) => answered,
            Poll::Pending => Err(Status::unimplemented("a benchmark's questions do not wait")),
        };
        ended.with(answered.as_ref().map_or_else(Status::code, |_| Code::Ok));
        answered.map(Response::into_inner)
    }

    /// Counts a call that was answered, as all calls are.
    #[inline(never)]
    pub fn count(&self, took: Duration) {
        let metrics = &self.service.metrics;
        metrics.rpc_started();
        metrics.decided(Decides::CheckFlow, Verdict::Allow, took);
        metrics.rpc_ended(Rpc::CheckFlow, Code::Ok, took);
    }

    /// The metrics, as they are scraped.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn scrape(&self) -> Result<String, std::fmt::Error> {
        self.service.metrics.encode(&self.service.publisher)
    }
}
