//! One trace from the API server through the webhook to the server.

use std::collections::HashMap;

use gavel_telemetry::{Sampling, Tracing};
use opentelemetry::trace::{SpanId, SpanKind, TraceId};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};
use serde_json::Value;

use crate::support::{POLICIES, Server, Webhook, nonroot, review};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A webhook whose spans are kept, and what it was told of the API server's.
async fn asked(server: &Server, sampling: Sampling, flags: Option<&str>) -> (Vec<SpanData>, Value) {
    let kept = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(kept.clone())
        .with_sampler(Sampler::AlwaysOn)
        .build();
    let webhook = Webhook::start_traced(&[server.address()], Tracing::new(&provider, sampling)).await;
    webhook.until_ready(true).await;
    let parent = flags.map(|flags| format!("traceparent: 00-{TRACE}-b7ad6b7169203331-{flags}\r\n"));
    let head = format!(
        "POST /validate HTTP/1.1\r\nContent-Type: application/json\r\n{}",
        parent.unwrap_or_default()
    );
    let answer = webhook.ask(&head, &review(&nonroot()).to_string()).await;
    webhook.stop().await;
    (kept.get_finished_spans().unwrap(), answer.response())
}

fn attributes(span: &SpanData) -> HashMap<String, String> {
    span.attributes.iter().map(|pair| (pair.key.to_string(), pair.value.to_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_with_the_api_servers() {
    let server = Server::start(POLICIES).await;
    let (spans, response) = asked(&server, Sampling::parent_based(0.0), Some("01")).await;
    assert_eq!(response["allowed"], true);
    let of = |kind: SpanKind| spans.iter().find(|span| span.span_kind == kind).unwrap();
    let (review, call) = (of(SpanKind::Server), of(SpanKind::Client));
    assert_eq!(spans.len(), 2, "{spans:?}");
    let trace = TraceId::from_hex(TRACE).unwrap();
    assert_eq!((review.span_context.trace_id(), call.span_context.trace_id()), (trace, trace));
    assert_eq!(review.parent_span_id, SpanId::from_hex("b7ad6b7169203331").unwrap());
    assert_eq!(call.parent_span_id, review.span_context.span_id());
    assert_eq!(
        (review.name.as_ref(), call.name.as_ref()),
        ("POST /validate", "gavel.v1.PolicyDecision/Admit")
    );
    let told = attributes(review);
    assert_eq!((&*told["gavel.outcome"], &*told["http.response.status_code"]), ("allowed", "200"));
    assert_eq!(attributes(call)["server.address"], server.address());
    assert_eq!(attributes(call)["rpc.grpc.status_code"], "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn sampled_or_not() {
    let server = Server::start(POLICIES).await;
    for (sampling, flags, spans) in [
        (Sampling::parent_based(1.0), Some("00"), 0),
        (Sampling::parent_based(1.0), None, 2),
        (Sampling::parent_based(0.0), None, 0),
        (Sampling::whatever_the_parent(1.0), Some("00"), 2),
    ] {
        let (found, _) = asked(&server, sampling, flags).await;
        assert_eq!(found.len(), spans, "{sampling:?} {flags:?}");
    }
}
