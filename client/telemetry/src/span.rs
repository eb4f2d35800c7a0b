//! Spans.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, ContextGuard, KeyValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::Sampling;

/// Begins spans, of the calls that are sampled. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tracing(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    tracer: SdkTracer,
    sampling: Sampling,
    propagator: TraceContextPropagator,
}

/// A span that is recorded. Cheap to clone; it ends when it is told to, or with its last clone.
#[derive(Clone, Debug)]
pub struct Span {
    inner: Arc<Inner>,
    context: Context,
}

impl Tracing {
    /// Nothing is traced.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Traced is what this says, and sent by this.
    pub fn new(provider: &SdkTracerProvider, sampling: Sampling) -> Self {
        let propagator = TraceContextPropagator::new();
        Self(Some(Arc::new(Inner { tracer: provider.tracer("gavel"), sampling, propagator })))
    }

    /// The span of a call that comes with these headers, if it is sampled: it goes on with the caller's trace.
    pub fn serve(&self, name: impl Into<Cow<'static, str>>, headers: &HeaderMap) -> Option<Span> {
        self.serve_named(|| name, headers)
    }

    /// The same, where the name is made only for calls that are sampled.
    pub fn serve_named<N: Into<Cow<'static, str>>>(
        &self,
        name: impl FnOnce() -> N,
        headers: &HeaderMap,
    ) -> Option<Span> {
        let inner = self.0.as_ref().filter(|inner| inner.sampling.samples(headers))?;
        let parent = inner.propagator.extract_with_context(&Context::new(), &Headers(headers));
        Some(inner.begin(SpanKind::Server, name().into(), &parent, None))
    }
}

impl Inner {
    fn begin(
        self: &Arc<Self>,
        kind: SpanKind,
        name: Cow<'static, str>,
        parent: &Context,
        started: Option<SystemTime>,
    ) -> Span {
        let mut builder = self.tracer.span_builder(name).with_kind(kind);
        builder.start_time = started;
        let span = builder.start_with_context(&self.tracer, parent);
        Span { inner: self.clone(), context: parent.with_span(span) }
    }
}

impl Span {
    /// A part of it that is asked of somebody else.
    pub fn ask(&self, name: impl Into<Cow<'static, str>>) -> Span {
        self.inner.begin(SpanKind::Client, name.into(), &self.context, None)
    }

    /// A part of it that is over already.
    pub fn part(&self, name: &'static str, from: SystemTime, to: SystemTime) {
        let part = self.inner.begin(SpanKind::Internal, Cow::Borrowed(name), &self.context, Some(from));
        part.context.span().end_with_timestamp(to);
    }

    /// Sets an attribute.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.context.span().set_attribute(KeyValue::new(key, value));
    }

    /// It went wrong, for a reason that is not the caller's.
    pub fn failed(&self, why: impl Into<Cow<'static, str>>) {
        self.context.span().set_status(Status::error(why));
    }

    /// It ends.
    pub fn end(&self) {
        self.context.span().end();
    }

    /// Ids of the trace and of the span, in hexadecimal digits.
    pub fn ids(&self) -> (String, String) {
        let span = self.context.span();
        let ids = span.span_context();
        (ids.trace_id().to_string(), ids.span_id().to_string())
    }

    /// What to send along when somebody else is asked: `traceparent` and `tracestate`, which may be empty.
    pub fn headers(&self) -> (String, String) {
        let mut headers = HeaderMap::new();
        self.inner.propagator.inject_context(&self.context, &mut HeadersMut(&mut headers));
        let mut take = |name: &str| {
            headers.remove(name).and_then(|value| value.to_str().map(str::to_owned).ok()).unwrap_or_default()
        };
        (take("traceparent"), take("tracestate"))
    }

    /// Log lines of this thread have its ids until the guard is dropped. Not to be held over an await.
    pub fn enter(&self) -> ContextGuard {
        self.context.clone().attach()
    }
}

struct Headers<'h>(&'h HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct HeadersMut<'h>(&'h mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
