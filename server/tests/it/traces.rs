//! Traces and decisions by OTLP, of the program itself, to a receiver that keeps what it gets.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gavel_proto::v1::policy_decision_client::PolicyDecisionClient;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::support::{FLOWS, binary, flow, get};

/// Keeps what it gets.
#[derive(Clone, Debug, Default)]
struct Receiver {
    spans: Arc<Mutex<Vec<Span>>>,
    records: Arc<Mutex<Vec<LogRecord>>>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans;
        let spans = resources.into_iter().flat_map(|one| one.scope_spans).flat_map(|one| one.spans);
        self.spans.lock().unwrap().extend(spans);
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let resources = request.into_inner().resource_logs;
        let records = resources.into_iter().flat_map(|one| one.scope_logs).flat_map(|one| one.log_records);
        self.records.lock().unwrap().extend(records);
        Ok(Response::new(Default::default()))
    }
}

impl Receiver {
    /// Listens on a free port; its address.
    async fn listen(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .add_service(LogsServiceServer::new(self.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        format!("http://{address}")
    }
}

/// The program, asked a few questions (by its service, and by its address for probes and metrics) and stopped; what it
/// wrote to standard error.
async fn run(
    arguments: &[&str],
    variables: &[(&str, &str)],
    ask: impl AsyncFn(&mut PolicyDecisionClient<Channel>, SocketAddr),
) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("flows.yaml"), FLOWS).unwrap();
    let mut child = Command::new(binary())
        .args(["--manifests", folder.path().to_str().unwrap()])
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-format", "json"])
        .args(arguments)
        .envs(variables.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut read = String::new();
    let (address, admin) = loop {
        let line = lines.next().unwrap().unwrap();
        read.push_str(&line);
        read.push('\n');
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        if told["fields"]["message"] == "started" {
            let address = |field: &str| told["fields"][field].as_str().unwrap().to_owned();
            break (address("listening"), address("admin").parse().unwrap());
        }
    };
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>().join("\n"));
    let mut client = loop {
        let mut client = PolicyDecisionClient::connect(format!("http://{address}")).await.unwrap();
        // Whether it is ready is not what is tested; unsampled, so as not to show.
        let mut request = Request::new(flow("friend", "web", 80));
        let unsampled = "00-11111111111111111111111111111111-2222222222222222-00";
        request.metadata_mut().insert("traceparent", unsampled.parse().unwrap());
        if client.check_flow(request).await.is_ok() {
            break client;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    ask(&mut client, admin).await;
    drop(client);
    let pid = child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    read + &rest.join().unwrap()
}

/// Sends records at once, and not once a second.
const QUICKLY: [(&str, &str); 1] = [("OTEL_BLRP_SCHEDULE_DELAY", "20")];

/// Waits until this became of so many records of the decision log.
async fn wait_for_records(admin: SocketAddr, result: &str, records: u64) {
    let line = format!("gavel_decision_log_records_total{{result=\"{result}\"}} {records}\n");
    while !get(admin, "/metrics").await.1.contains(&line) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn body(record: &LogRecord) -> serde_json::Value {
    match record.body.as_ref().and_then(|body| body.value.as_ref()) {
        Some(Value::StringValue(text)) => serde_json::from_str(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn traced(flags: &str) -> Request<gavel_proto::v1::CheckFlowRequest> {
    let mut request = Request::new(flow("stranger", "web", 80));
    let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request.metadata_mut().insert("tracestate", "vendor=1".parse().unwrap());
    request
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_trace_is_continued_and_decisions_are_sent() {
    let receiver = Receiver::default();
    let endpoint = receiver.listen().await;
    let id = Mutex::new(String::new());
    let arguments = [
        "--otlp-endpoint",
        &endpoint,
        "--trace-sample",
        "0",
        "--decision-log",
        "sampled",
        "--decision-log-sample",
        "0",
    ];
    let arguments = [&arguments[..], &["--decision-log-to", "otlp", "--log", "debug"]].concat();
    let logs = run(&arguments, &QUICKLY, async |client, admin| {
        // Neither the caller nor the server wants this one.
        client.check_flow(flow("friend", "web", 80)).await.unwrap();
        client.check_flow(traced("00")).await.unwrap();
        let answer = client.check_flow(traced("01")).await.unwrap().into_inner();
        *id.lock().unwrap() = answer.decision_id;
        let mut wrong = traced("01");
        wrong.get_mut().port = 0;
        client.check_flow(wrong).await.unwrap_err();
        wait_for_records(admin, "written", 2).await;
    })
    .await;
    let id = id.into_inner().unwrap();
    let spans = receiver.spans.lock().unwrap().clone();
    let of_name = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let calls = of_name("gavel.v1.PolicyDecision/CheckFlow");
    assert_eq!(calls.len(), 2, "{spans:?}");
    let call = calls.iter().find(|call| attribute(call, "gavel.decision_id") == id).unwrap();
    assert_eq!(hex(&call.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&call.parent_span_id), "b7ad6b7169203331");
    assert_eq!(call.trace_state, "vendor=1");
    assert_eq!(attribute(call, "rpc.system"), "grpc");
    assert_eq!(attribute(call, "rpc.method"), "CheckFlow");
    assert_eq!(attribute(call, "rpc.grpc.status_code"), "0");
    assert_eq!(attribute(call, "gavel.verdict"), "deny");
    assert_eq!(attribute(call, "gavel.policy"), "web");
    for stage in ["parse", "decide", "encode"] {
        let of_call: Vec<_> =
            of_name(stage).into_iter().filter(|span| span.parent_span_id == call.span_id).collect();
        assert_eq!(of_call.len(), 1, "{stage}: {spans:?}");
        assert!(of_call[0].start_time_unix_nano >= call.start_time_unix_nano, "{stage}");
        assert!(of_call[0].end_time_unix_nano <= call.end_time_unix_nano, "{stage}");
    }
    assert!(calls.iter().any(|call| attribute(call, "rpc.grpc.status_code") == "3"), "{calls:?}");
    // The decision log has what is traced, with the same ids.
    let records = receiver.records.lock().unwrap().clone();
    assert!(records.iter().all(|record| record.trace_id == call.trace_id), "{records:?}");
    assert!(records.iter().any(|record| record.span_id == call.span_id), "{records:?}");
    let records: Vec<serde_json::Value> = records.iter().map(body).collect();
    assert_eq!(records.len(), 2, "{records:?}");
    let record = records.iter().find(|record| record["decision_id"] == id.as_str()).unwrap();
    assert_eq!(record["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    // And the log line of the one that was refused.
    let refused = logs.lines().find(|line| line.contains("InvalidArgument")).unwrap();
    let refused: serde_json::Value = serde_json::from_str(refused).unwrap();
    assert_eq!(refused["trace_id"], "0af7651916cd43dd8448eb211c80319c", "{refused}");
    assert_eq!(refused["span_id"].as_str().unwrap().len(), 16, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_without_a_trace_begin_one_by_the_usual_variables() {
    let receiver = Receiver::default();
    let endpoint = receiver.listen().await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_on"),
        ("OTEL_SERVICE_NAME", "gavel-of-a-test"),
    ];
    run(&[], &variables, async |client, _| {
        client.check_flow(flow("friend", "web", 80)).await.unwrap();
        client.check_flow(traced("00")).await.unwrap();
    })
    .await;
    let spans = receiver.spans.lock().unwrap();
    let calls: Vec<_> = spans.iter().filter(|span| span.name.ends_with("CheckFlow")).collect();
    assert_eq!(calls.len(), 1, "{spans:?}");
    assert!(calls[0].parent_span_id.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_not_there_holds_nobody_up() {
    // Takes connections, and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let variables = [("OTEL_EXPORTER_OTLP_TIMEOUT", "500")];
    let arguments = ["--otlp-endpoint", &endpoint, "--trace-sample", "1"];
    let answered = Mutex::new(0);
    run(&arguments, &variables, async |client, _| {
        // More than its queue holds.
        for _ in 0..3000 {
            client.check_flow(flow("friend", "web", 80)).await.unwrap();
            *answered.lock().unwrap() += 1;
        }
    })
    .await;
    assert_eq!(answered.into_inner().unwrap(), 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_nobody_takes_are_not_counted_as_written() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let arguments = ["--otlp-endpoint", &endpoint, "--trace-sample", "0"];
    let arguments = [&arguments[..], &["--decision-log", "all", "--decision-log-to", "otlp"]].concat();
    run(&arguments, &QUICKLY, async |client, admin| {
        for _ in 0..3 {
            client.check_flow(flow("friend", "web", 80)).await.unwrap();
        }
        let metrics = loop {
            let (_, metrics) = get(admin, "/metrics").await;
            let failed = "gavel_decision_log_records_total{result=\"failed\"} ";
            let failed = metrics.lines().find_map(|line| line.strip_prefix(failed)?.parse::<u64>().ok());
            // Those that were asked until it was ready are among them.
            if failed.unwrap() >= 4 {
                break metrics;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(metrics.contains("gavel_decision_log_records_total{result=\"written\"} 0\n"), "{metrics}");
    })
    .await;
}
