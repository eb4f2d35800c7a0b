//! What is sent, and how. In batches, by a thread of its own, from queues that are bounded: a receiver that is slow or
//! away costs what it does not get, and nobody waits for it.

use opentelemetry_otlp::{ExporterBuildError, LogExporter, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

use crate::{Error, Records};

/// Whose telemetry it is; `OTEL_RESOURCE_ATTRIBUTES` adds to it.
pub(crate) fn resource(service: &'static str) -> Resource {
    let resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_some_and(|name| !name.is_empty()) {
        resource.build()
    } else {
        resource.with_service_name(service).build()
    }
}

pub(crate) fn span_exporter(endpoint: Option<&str>) -> Result<SpanExporter, Error> {
    let exporter = SpanExporter::builder().with_tonic();
    let exporter = match endpoint {
        Some(endpoint) => exporter.with_endpoint(endpoint),
        None => exporter,
    };
    exporter.build().map_err(|why| unusable(endpoint, "OTEL_EXPORTER_OTLP_… for traces", why))
}

pub(crate) fn traces(endpoint: Option<&str>, resource: Resource) -> Result<SdkTracerProvider, Error> {
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(span_exporter(endpoint)?)
        .with_resource(resource)
        // Whatever is begun was sampled already.
        .with_sampler(Sampler::AlwaysOn)
        .build())
}

pub(crate) fn log_exporter(endpoint: Option<&str>) -> Result<LogExporter, Error> {
    let exporter = LogExporter::builder().with_tonic();
    let exporter = match endpoint {
        Some(endpoint) => exporter.with_endpoint(endpoint),
        None => exporter,
    };
    exporter.build().map_err(|why| unusable(endpoint, "OTEL_EXPORTER_OTLP_… for logs", why))
}

/// The flag is to blame if there is one.
fn unusable(endpoint: Option<&str>, variables: &str, why: ExporterBuildError) -> Error {
    let flag = endpoint.map(|endpoint| format!("--otlp-endpoint {endpoint}"));
    Error::Exporter { setting: flag.unwrap_or_else(|| variables.to_owned()), why }
}

/// `most`: how many may wait.
pub(crate) fn records(endpoint: Option<&str>, resource: Resource, most: usize) -> Result<Records, Error> {
    Ok(Records::new(log_exporter(endpoint)?, resource, most))
}
