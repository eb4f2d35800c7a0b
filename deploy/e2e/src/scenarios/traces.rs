//! A real OpenTelemetry collector receives one trace, from the API server's context through webhook and server, and the
//! decision log beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::Method;
use serde_json::Value;

use crate::kit::{
    Authority, GavelServer, MANIFESTS, Process, Program, Scenario, Webhook, WebhookFlags, free_port, review,
    wait,
};

const SOON: Duration = Duration::from_secs(60);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
/// The API server's span.
const PARENT: &str = "b7ad6b7169203331";

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let folder = &scenario.folder;
    let (received, address) = (folder.file("received.json"), free_port()?);
    let configuration = folder.write(
        "collector.yaml",
        &format!(
            "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '{address}'}}}}}}}}\n\
             exporters: {{file: {{path: '{}', flush_interval: 100ms}}}}\n\
             service:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n\
             \x20   traces: {{receivers: [otlp], exporters: [file]}}\n\
             \x20   logs: {{receivers: [otlp], exporters: [file]}}\n",
            received.display()
        ),
    )?;
    let binary = std::env::var_os("GAVEL_E2E_COLLECTOR")
        .context("GAVEL_E2E_COLLECTOR is not set: run the scenarios with deploy/e2e/run")?;
    let config = format!("--config={}", configuration.display());
    let mut collector = Process::start(Program::new(Path::new(&binary), "collector", [config]), folder)?;
    wait::until("the collector listens", SOON, async || {
        collector.check()?;
        Ok(tokio::net::TcpStream::connect(address).await.is_ok().then_some(()))
    })
    .await?;

    let authority = Authority::new(folder)?;
    let manifests = folder.write("manifests.yaml", MANIFESTS)?;
    let otlp = format!("--otlp-endpoint=http://{address}");
    // Nobody begins a trace here: what is traced is what the API server traces.
    let mut flags = authority.server_flags()?;
    flags.extend(["--grant=user:webhook=Admit", &otlp, "--trace-sample=0"].map(str::to_owned));
    flags.extend(
        ["--decision-log=sampled", "--decision-log-sample=0", "--decision-log-to=otlp"].map(str::to_owned),
    );
    let server = GavelServer::of_manifests(folder, &manifests, &texts(&flags)).await?;
    let mut flags = authority.client_flags("webhook")?;
    flags.extend([otlp, "--trace-sample=0".to_owned()]);
    let more = texts(&flags);
    let webhook =
        Webhook::start(folder, &[&server], WebhookFlags { more: &more, ..Default::default() }).await?;

    let ask = async |flags: &str| {
        let parent = format!("00-{TRACE}-{PARENT}-{flags}");
        let headers = [("content-type", "application/json"), ("traceparent", &*parent)];
        webhook.https.send(Method::POST, "/validate", &headers, review(true).to_string().into_bytes()).await
    };
    ensure!(ask("00").await?.status == 200);
    let answer: Value = serde_json::from_str(&ask("01").await?.body)?;
    let response = &answer["response"];
    let id = response["auditAnnotations"]["decision-id"].as_str().with_context(|| answer.to_string())?;
    ensure!(response["allowed"] == false, "{answer}");

    let all = wait::until_is(
        "spans and the record have arrived",
        SOON,
        async || read(&received),
        // Each program sends its own, when it likes.
        |(spans, records)| {
            let of = |service| spans.iter().filter(|span| span.service == service).count();
            of("gavel-webhook") >= 2 && of("gavel-server") >= 4 && !records.is_empty()
        },
    );
    let (spans, records) = all.await?;
    check(&spans, id)?;
    ensure!(records.len() == 1 && records[0].contains(id), "{records:?}");
    ensure!(records[0].contains(TRACE), "{records:?}");
    println!("traces: {}", spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>().join(", "));
    Ok(())
}

fn texts(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// A span, as far as it matters here.
#[derive(Debug)]
struct Span {
    service: String,
    name: String,
    trace: String,
    id: String,
    parent: String,
    all: Value,
}

/// What the collector wrote: spans, and records of the decision log.
fn read(received: &PathBuf) -> anyhow::Result<(Vec<Span>, Vec<String>)> {
    let (mut spans, mut records) = (Vec::new(), Vec::new());
    for line in std::fs::read_to_string(received)?.lines() {
        let export: Value = serde_json::from_str(line)?;
        let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for resource in items(&export["resourceSpans"]) {
            let service = resource["resource"]["attributes"]
                .as_array()
                .and_then(|attributes| attributes.iter().find(|one| one["key"] == "service.name"))
                .map(|one| one["value"]["stringValue"].as_str().unwrap_or_default().to_owned());
            for span in items(&resource["scopeSpans"]).iter().flat_map(|scope| items(&scope["spans"])) {
                let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
                spans.push(Span {
                    service: service.clone().unwrap_or_default(),
                    name: text("name"),
                    trace: text("traceId"),
                    id: text("spanId"),
                    parent: text("parentSpanId"),
                    all: span,
                });
            }
        }
        for resource in items(&export["resourceLogs"]) {
            for record in items(&resource["scopeLogs"]).iter().flat_map(|scope| items(&scope["logRecords"])) {
                records.push(record["body"]["stringValue"].as_str().unwrap_or_default().to_owned());
            }
        }
    }
    Ok((spans, records))
}

/// One trace: the API server's span, the webhook's, its call, the server's, its stages.
fn check(spans: &[Span], decision: &str) -> anyhow::Result<()> {
    ensure!(spans.iter().all(|span| span.trace == TRACE), "another trace: {spans:#?}");
    let one = |service: &str, parent: &str| -> anyhow::Result<&Span> {
        let found: Vec<&Span> =
            spans.iter().filter(|span| span.service == service && span.parent == parent).collect();
        ensure!(found.len() == 1, "children of {parent} in {service}: {found:#?} of {spans:#?}");
        Ok(found[0])
    };
    let review = one("gavel-webhook", PARENT)?;
    let attempt = one("gavel-webhook", &review.id)?;
    let call = one("gavel-server", &attempt.id)?;
    ensure!(call.name == "gavel.v1.PolicyDecision/Admit", "{call:?}");
    let told = call.all.to_string();
    for part in [decision, "gavel.verdict", "\"deny\"", "\"webhook\""] {
        ensure!(told.contains(part), "{part} is not in {told}");
    }
    for stage in ["parse", "decide", "encode"] {
        ensure!(
            spans
                .iter()
                .any(|span| span.name == stage && span.parent == call.id && span.service == "gavel-server"),
            "no {stage}: {spans:#?}"
        );
    }
    Ok(())
}
