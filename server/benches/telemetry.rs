//! What is told of a call, and what that costs the one who asked: `cargo bench -p gavel-server --bench telemetry`.
//!
//! `decided` is the decision alone. The calls below it have everything but connection, limits and access: `metrics_alone`
//! is a call of which nothing else is told, and what the others take more is telemetry. Threads of their own write
//! records and send spans afterwards: that is in these figures only where such a thread takes the caller's core, as
//! it does when it is woken and no other is idle. CPU time of whole servers is told by `gavel-loadtest telemetry-cost`.
//! Instructions a call, without those threads, and whatever else the machine does:
//!
//! ```console
//! $ valgrind --tool=callgrind --toggle-collect='*Direct*check_flow*' target/release/deps/telemetry-HASH \
//!     --bench 'flows::sampled$' --sample-count 10 --sample-size 200
//! ```

#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use divan::Bencher;
use gavel_engine::Change;
use gavel_proto::v1 as pb;
use gavel_server::config::{Config, DecisionLogMode, DecisionLogTarget, Ratio};
use gavel_server::publisher::Publisher;
use gavel_server::{Direct, Telling, decide};
use gavel_telemetry::{Sampling, Tracing};
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use serde_json::json;
use tempfile::TempDir;

/// A pod that is isolated, one that is let in, and who may create pods by which policy.
const MANIFESTS: &str = include_str!("telemetry.yaml");
/// The trace of a caller, without its flags.
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
/// Calls in a row, where something is told of each: no more than the queues take, so that none is dropped, which would
/// cost less.
const SOME: u32 = 1000;
/// Meanwhile the threads that write and send catch up.
const REST: Duration = Duration::from_micros(50);

fn main() {
    divan::main();
}

static PUBLISHER: LazyLock<Arc<Publisher>> = LazyLock::new(|| {
    let reading = gavel_source::manifests::parse(MANIFESTS.as_bytes(), "telemetry.yaml");
    assert!(reading.errors.is_empty(), "{:?}", reading.errors);
    let publisher = Publisher::new([]);
    publisher.publish(reading.objects.into_iter().map(|object| Change::Upsert(object.item)).collect(), &[]);
    Arc::new(publisher)
});

fn flow() -> pb::CheckFlowRequest {
    let pod = |name: &str| {
        let pod = pb::PodRef { namespace: "shop".into(), name: name.into(), ip: String::new() };
        Some(pb::End { end: Some(pb::end::End::Pod(pod)) })
    };
    pb::CheckFlowRequest { source: pod("friend"), destination: pod("web"), port: 80, ..Default::default() }
}

/// A pod of 3 KB, created by its ReplicaSet.
fn admission() -> pb::AdmitRequest {
    static POD: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let variables: Vec<_> = (0..40)
            .map(
                |i| json!({"name": format!("SETTING_{i}"), "value": format!("a value of medium length {i}")}),
            )
            .collect();
        let container = json!({"name": "web", "image": "registry.example.com/web:v1", "env": variables,
            "securityContext": {"runAsNonRoot": true}});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"serviceAccountName": "builder", "containers": [container]}});
        serde_json::to_vec(&pod).unwrap()
    });
    let user = "system:serviceaccount:kube-system:replicaset-controller".to_owned();
    pb::AdmitRequest {
        uid: "u1".to_owned(),
        operation: pb::Operation::Create.into(),
        namespace: "shop".to_owned(),
        user: Some(pb::UserInfo { username: user, ..Default::default() }),
        object: POD.clone().into(),
        ..Default::default()
    }
}

/// Sends nothing, and counts what it would have sent.
#[derive(Clone, Debug, Default)]
struct Nowhere(Arc<AtomicUsize>);

impl SpanExporter for Nowhere {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.fetch_add(batch.len(), Ordering::Relaxed);
        Ok(())
    }
}

/// Whoever answers, and where that is told.
struct Told {
    direct: Direct,
    traces: SdkTracerProvider,
    sent: Nowhere,
    _folder: TempDir,
}

impl Told {
    /// Traces this part of the calls without a trace, and logs decisions like that, into a file.
    fn new(ratio: f64, log: DecisionLogMode) -> Self {
        let (sent, folder) = (Nowhere::default(), tempfile::tempdir().unwrap());
        let queue = BatchConfigBuilder::default().with_max_queue_size(1 << 16).build();
        let processor = BatchSpanProcessor::builder(sent.clone()).with_batch_config(queue).build();
        let traces = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::AlwaysOn)
            .build();
        let mut config = Config::local(vec![]);
        config.telemetry.decision_log = log;
        config.telemetry.decision_log_sample = Ratio(0.01);
        config.telemetry.decision_log_to = DecisionLogTarget::File(folder.path().join("decisions"));
        let tracing = Tracing::new(&traces, Sampling::parent_based(ratio));
        let telling = Telling { tracing, records: None };
        let direct = Direct::new(&config, PUBLISHER.clone(), telling).unwrap();
        Self { direct, traces, sent, _folder: folder }
    }

    /// Nothing but metrics.
    fn off() -> Self {
        let direct = Direct::new(&Config::local(vec![]), PUBLISHER.clone(), Telling::default()).unwrap();
        Self { direct, ..Self::new(0.0, DecisionLogMode::Off) }
    }

    /// Asks about flows.
    fn flows(self, bencher: Bencher<'_, '_>, flags: Option<&str>, tells: Tells) {
        let headers = headers(flags);
        self.ask(bencher, flow, tells, |told, question| {
            told.direct.check_flow(&headers, question).unwrap();
        });
    }

    /// Asks about pods.
    fn pods(self, bencher: Bencher<'_, '_>, tells: Tells) {
        let headers = HeaderMap::new();
        self.ask(bencher, admission, tells, |told, question| {
            assert!(told.direct.admit(&headers, question).unwrap().allowed);
        });
    }

    /// Asks, and sees to it that everything was told that was to be.
    fn ask<Q>(self, bencher: Bencher<'_, '_>, question: fn() -> Q, tells: Tells, ask: impl Fn(&Self, Q)) {
        let asked = Cell::new(0);
        bencher
            .with_inputs(|| {
                asked.set(asked.get() + 1);
                if !matches!(tells, Tells::Nothing | Tells::Some) {
                    std::thread::sleep(REST);
                }
                question()
            })
            .bench_local_values(|question| ask(&self, question));
        self.traces.force_flush().unwrap();
        let spans = self.sent.0.load(Ordering::Relaxed);
        let scraped = self.direct.scrape().unwrap();
        for result in ["dropped", "failed"] {
            let line = format!("gavel_decision_log_records_total{{result=\"{result}\"}} 0\n");
            assert!(scraped.contains(&line), "records were {result}, which costs less:\n{scraped}");
        }
        let is_silent = scraped.contains("gavel_decision_log_records_total{result=\"written\"} 0\n");
        match tells {
            Tells::Nothing => assert!(spans == 0 && is_silent, "{spans} spans\n{scraped}"),
            Tells::Some => {}
            Tells::Records => assert!(spans == 0 && !is_silent, "{spans} spans\n{scraped}"),
            // The call, and its parts.
            Tells::Spans => assert!(spans == 4 * asked.get() && is_silent, "{spans} spans\n{scraped}"),
            Tells::Both => assert!(spans == 4 * asked.get() && !is_silent, "{spans} spans\n{scraped}"),
        }
    }
}

/// What is to be told beside metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    Nothing,
    /// Of one call in a hundred.
    Some,
    Records,
    Spans,
    Both,
}

fn headers(flags: Option<&str>) -> HeaderMap {
    let parent = flags.map(|flags| HeaderValue::try_from(format!("{PARENT}-{flags}")).unwrap());
    parent.into_iter().map(|parent| (HeaderName::from_static("traceparent"), parent)).collect()
}

/// Parts of what is told.
mod part {
    use super::*;

    /// All metrics of a call.
    #[divan::bench]
    fn metrics(bencher: Bencher<'_, '_>) {
        let told = Told::off();
        bencher.bench_local(|| told.direct.count(black_box(Duration::from_nanos(1500))));
    }

    fn is_sampled(bencher: Bencher<'_, '_>, flags: Option<&str>) {
        let (told, headers) = (Told::new(0.0, DecisionLogMode::Off), headers(flags));
        let tracing = Tracing::new(&told.traces, Sampling::parent_based(1e-9));
        bencher.bench_local(|| tracing.serve_named(|| "", black_box(&headers)).is_some());
    }

    /// Whether to trace a call that comes without a trace.
    #[divan::bench]
    fn sampling(bencher: Bencher<'_, '_>) {
        is_sampled(bencher, None);
    }

    /// Whether to trace a call whose caller does not.
    #[divan::bench]
    fn sampling_by_the_caller(bencher: Bencher<'_, '_>) {
        is_sampled(bencher, Some("00"));
    }
}

/// `CheckFlow`.
#[divan::bench_group(sample_size = SOME)]
mod flows {
    use super::*;

    #[divan::bench]
    fn decided(bencher: Bencher<'_, '_>) {
        let published = PUBLISHER.published().unwrap();
        bencher
            .with_inputs(flow)
            .bench_local_values(|question| decide::check_flow(&published.snapshot, &question).unwrap());
    }

    #[divan::bench]
    fn metrics_alone(bencher: Bencher<'_, '_>) {
        Told::off().flows(bencher, None, Tells::Nothing);
    }

    #[divan::bench]
    fn not_sampled_by_the_caller(bencher: Bencher<'_, '_>) {
        Told::new(0.01, DecisionLogMode::Off).flows(bencher, Some("00"), Tells::Nothing);
    }

    /// One call in a hundred traced, one logged.
    #[divan::bench]
    fn sampled(bencher: Bencher<'_, '_>) {
        Told::new(0.01, DecisionLogMode::Sampled).flows(bencher, None, Tells::Some);
    }

    #[divan::bench]
    fn all_logged(bencher: Bencher<'_, '_>) {
        Told::new(0.0, DecisionLogMode::All).flows(bencher, None, Tells::Records);
    }

    #[divan::bench]
    fn all_traced(bencher: Bencher<'_, '_>) {
        Told::new(0.0, DecisionLogMode::Off).flows(bencher, Some("01"), Tells::Spans);
    }

    #[divan::bench]
    fn all_logged_and_traced(bencher: Bencher<'_, '_>) {
        Told::new(0.0, DecisionLogMode::All).flows(bencher, Some("01"), Tells::Both);
    }
}

/// `Admit`.
#[divan::bench_group(sample_size = SOME)]
mod pods {
    use super::*;

    #[divan::bench]
    fn decided(bencher: Bencher<'_, '_>) {
        let published = PUBLISHER.published().unwrap();
        bencher
            .with_inputs(admission)
            .bench_local_values(|question| decide::admit(&published.snapshot, &question).unwrap());
    }

    #[divan::bench]
    fn metrics_alone(bencher: Bencher<'_, '_>) {
        Told::off().pods(bencher, Tells::Nothing);
    }

    #[divan::bench]
    fn all_logged(bencher: Bencher<'_, '_>) {
        Told::new(0.0, DecisionLogMode::All).pods(bencher, Tells::Records);
    }
}
