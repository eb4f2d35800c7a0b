//! The trace of a review: it goes on with the API server's (APIServerTracing sends `traceparent` to webhooks), and
//! servers go on with it. Attributes are named by OpenTelemetry's semantic conventions for HTTP and gRPC.

use axum::http::HeaderMap;
use gavel_client::trace::{Attempt, Tracer};
use gavel_client::{TraceContext, v1};
use gavel_telemetry::{Span, Tracing};
use tonic::Code;

use crate::metrics::Outcome;

/// What is asked of servers, as spans are named.
const CALL: &str = "gavel.v1.PolicyDecision/Admit";

/// The trace of one review.
#[derive(Clone, Debug)]
pub(crate) enum Trace {
    /// It is recorded.
    Recorded(Span),
    /// It is not; what came with the request is handed on as it is.
    HandedOn(Option<TraceContext>),
}

impl Trace {
    pub(crate) fn begin(tracing: &Tracing, path: &'static str, headers: &HeaderMap) -> Self {
        match tracing.serve(format!("POST {path}"), headers) {
            Some(span) => {
                span.set("http.request.method", "POST");
                span.set("http.route", path);
                span.set("url.scheme", "https");
                Trace::Recorded(span)
            }
            None => {
                let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
                Trace::HandedOn(TraceContext::new(text("traceparent"), text("tracestate")))
            }
        }
    }

    /// What the review asks for.
    pub(crate) fn asked(&self, question: &v1::AdmitRequest) {
        if let Trace::Recorded(span) = self {
            span.set("k8s.admission.uid", question.uid.clone());
            span.set("k8s.namespace.name", question.namespace.clone());
        }
    }

    pub(crate) fn decided(&self, decision: &v1::AdmitResponse) {
        if let (Trace::Recorded(span), false) = (self, decision.decision_id.is_empty()) {
            span.set("gavel.decision.id", decision.decision_id.clone());
        }
    }

    pub(crate) fn end(&self, status: u16, outcome: Outcome) {
        if let Trace::Recorded(span) = self {
            span.set("http.response.status_code", i64::from(status));
            span.set("gavel.outcome", outcome.as_str());
            if matches!(outcome, Outcome::Unavailable | Outcome::Failed) {
                span.failed(outcome.as_str());
            }
            span.end();
        }
    }

    /// Runs what logs, so that its lines have the trace's ids.
    pub(crate) fn log<T>(&self, log: impl FnOnce() -> T) -> T {
        match self {
            Trace::Recorded(span) => {
                let _ids = span.enter();
                log()
            }
            Trace::HandedOn(_) => log(),
        }
    }
}

impl Tracer for Trace {
    fn attempt(&self, address: &str) -> Box<dyn Attempt> {
        Box::new(match self {
            Trace::HandedOn(_) => Asked(self.clone()),
            Trace::Recorded(span) => {
                let span = span.ask(CALL);
                span.set("rpc.system", "grpc");
                span.set("rpc.service", "gavel.v1.PolicyDecision");
                span.set("rpc.method", "Admit");
                span.set("server.address", address.to_owned());
                Asked(Trace::Recorded(span))
            }
        })
    }
}

/// One attempt to ask a server.
struct Asked(Trace);

impl Attempt for Asked {
    fn context(&self) -> Option<TraceContext> {
        match &self.0 {
            Trace::HandedOn(context) => context.clone(),
            Trace::Recorded(span) => {
                let (parent, state) = span.headers();
                TraceContext::new(&parent, &state)
            }
        }
    }

    fn ended(&mut self, code: Code, why: &str) {
        if let Trace::Recorded(span) = &self.0 {
            span.set("rpc.grpc.status_code", i64::from(code as i32));
            // The question's fault is no failure of the call.
            if !matches!(code, Code::Ok | Code::InvalidArgument) {
                span.failed(why.to_owned());
            }
            span.end();
        }
    }
}
