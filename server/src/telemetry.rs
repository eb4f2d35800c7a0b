//! Logs, and traces by OTLP where `OTEL_EXPORTER_OTLP_ENDPOINT` asks for them.

use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tonic::metadata::{KeyRef, MetadataMap};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::config::{Config, LogFormat};
use crate::metrics::Decides;

/// The target of the spans of calls: present only where traces are sent, so that nothing is paid for otherwise.
const CALLS: &str = "gavel::call";

/// Keeps the telemetry alive; sends what is left when dropped.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(traces) = &self.traces
            && let Err(error) = traces.shutdown()
        {
            eprintln!("traces: {error}");
        }
    }
}

/// Sets up logs and traces for this process. Called once, by `main`.
///
/// # Errors
/// When the log filter cannot be read, or the OTLP exporter cannot be built.
pub fn init(config: &Config) -> anyhow::Result<Telemetry> {
    // What kube has to say of failed requests is told by whoever made them.
    let directives = if config.telemetry.log.contains("kube_client") {
        config.telemetry.log.clone()
    } else {
        format!("{},kube_client=off", config.telemetry.log)
    };
    let filter = || {
        EnvFilter::try_new(&directives)
            .map_err(|error| anyhow::anyhow!("--log {}: {error}", config.telemetry.log))
    };
    let logs = match config.telemetry.log_format {
        LogFormat::Text => fmt::layer().with_writer(std::io::stderr).with_filter(filter()?).boxed(),
        LogFormat::Json => fmt::layer().json().with_writer(std::io::stderr).with_filter(filter()?).boxed(),
    };
    let traces = if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some()
        || std::env::var_os("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").is_some()
    {
        let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().build()?;
        // Resource and sampler come from OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES and OTEL_TRACES_SAMPLER.
        let mut resource = opentelemetry_sdk::Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("gavel-server");
        }
        Some(
            SdkTracerProvider::builder()
                .with_batch_exporter(exporter)
                .with_resource(resource.build())
                .build(),
        )
    } else {
        None
    };
    let spans = traces.as_ref().map(|traces| {
        tracing_opentelemetry::layer()
            .with_tracer(traces.tracer("gavel-server"))
            .with_filter(tracing_subscriber::filter::Targets::new().with_target(CALLS, tracing::Level::INFO))
    });
    tracing_subscriber::registry()
        .with(spans)
        .with(logs.with_filter(tracing_subscriber::filter::filter_fn(|metadata| metadata.target() != CALLS)))
        .try_init()?;
    Ok(Telemetry { traces })
}

/// The span of one call, a child of the caller's W3C trace context. Disabled, and nearly free, where traces are off.
pub(crate) fn span(rpc: Decides, metadata: &MetadataMap) -> Span {
    let span = tracing::info_span!(target: CALLS, "decide", otel.kind = "server", rpc.method = rpc.as_str());
    if !span.is_disabled() {
        let parent = TraceContextPropagator::new().extract(&Headers(metadata));
        if parent.span().span_context().is_valid() {
            // Fails only when the span is disabled, which was asked above.
            let _ = span.set_parent(parent);
        }
    }
    span
}

struct Headers<'a>(&'a MetadataMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0
            .keys()
            .filter_map(|key| match key {
                KeyRef::Ascii(key) => Some(key.as_str()),
                KeyRef::Binary(_) => None,
            })
            .collect()
    }
}
