use gavel_proto::v1 as pb;
use serde_json::{Value, json};

use super::sink::Sink;
use super::*;

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "SECRET",
            "labels": {"team": "SECRET"},
            "annotations": {
                "note": "SECRET",
                "seccomp.security.alpha.kubernetes.io/pod": "runtime/default",
            },
        },
        "spec": {
            "hostPID": true,
            "imagePullSecrets": [{"name": "SECRET"}],
            "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["SECRET"]}],
            "volumes": [
                {"name": "data", "hostPath": {"path": "/etc", "type": "Directory"}},
                {"name": "keys", "secret": {"secretName": "SECRET"}},
                {"name": "disk", "csi": {"driver": "disk.csi", "volumeAttributes": {"key": "SECRET"}}},
            ],
            "containers": [{
                "name": "c", "image": "nginx",
                "command": ["SECRET"], "args": ["--token=SECRET"],
                "env": [{"name": "PASSWORD", "value": "SECRET"}],
                "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "Authorization", "value": "SECRET"}]}},
                "ports": [{"containerPort": 80}],
                "securityContext": {"privileged": true},
            }],
        },
    })
}

fn admission() -> pb::AdmitRequest {
    pb::AdmitRequest {
        operation: pb::Operation::Create.into(),
        namespace: "shop".to_owned(),
        user: Some(pb::UserInfo {
            username: "alice".to_owned(),
            extra: [("key".to_owned(), pb::ExtraValue { items: vec!["SECRET".to_owned()] })].into(),
            ..Default::default()
        }),
        object: pod().to_string().into(),
        ..Default::default()
    }
}

fn record(request: pb::AdmitRequest) -> Record {
    let answer = pb::AdmitResponse {
        policy: String::new(),
        violations: vec![pb::Violation {
            policy: "restricted".to_owned(),
            field: "spec.containers[0].securityContext.privileged".to_owned(),
            ..Default::default()
        }],
        revision: 7,
        ..Default::default()
    };
    Record {
        at: std::time::UNIX_EPOCH,
        id: "id-1".to_owned(),
        caller: Some("webhook".to_owned()),
        authenticated_by: "token",
        trace: Some(("abc".to_owned(), "def".to_owned())),
        took: Duration::from_micros(12),
        question: Question::Admit(Box::new(request), Ok(Box::new(answer))),
    }
}

#[test]
fn what_a_record_tells() {
    let told = Value::Object(record(admission()).to_json(Redaction::Redacted));
    assert_eq!(told["time"], "1970-01-01T00:00:00Z");
    assert_eq!(told["decision_id"], "id-1");
    assert_eq!(told["rpc"], "Admit");
    assert_eq!(told["verdict"], "deny");
    assert_eq!(told["revision"], 7);
    assert_eq!(told["violations"][0]["policy"], "restricted");
    assert_eq!(told["caller"], json!({"name": "webhook", "authenticated_by": "token"}));
    assert_eq!((&told["trace_id"], &told["span_id"]), (&"abc".into(), &"def".into()));
    assert_eq!(told["duration_seconds"], 12e-6);
    let object = &told["question"]["object"];
    assert_eq!(object["metadata"]["name"], "web");
    assert_eq!(
        object["metadata"]["annotations"],
        json!({"seccomp.security.alpha.kubernetes.io/pod": "runtime/default"})
    );
    assert_eq!(object["spec"]["hostPID"], true);
    assert_eq!(object["spec"]["containers"][0]["securityContext"]["privileged"], true);
    assert_eq!(object["spec"]["volumes"][0]["hostPath"]["path"], "/etc");
    assert_eq!(object["spec"]["volumes"][1], json!({"name": "keys", "secret": {}}));
    assert_eq!(object["spec"]["volumes"][2]["csi"], json!({"driver": "disk.csi"}));
}

#[test]
fn what_is_left_out() {
    let redacted = Value::Object(record(admission()).to_json(Redaction::Redacted)).to_string();
    assert!(!redacted.contains("SECRET"), "{redacted}");
    let none = record(admission()).to_json(Redaction::None);
    assert!(!none.contains_key("question"));
    let full = Value::Object(record(admission()).to_json(Redaction::Full));
    assert_eq!(full["question"]["object"], pod());
    assert_eq!(full["question"]["user"]["extra"]["key"]["items"][0], "SECRET");
    // No JSON at all shows as nothing, and not as it is.
    let junk = pb::AdmitRequest { object: "SECRET".into(), ..admission() };
    let told = Value::Object(record(junk).to_json(Redaction::Redacted)).to_string();
    assert!(!told.contains("SECRET"), "{told}");
    let labels = pb::CheckFlowRequest {
        source: Some(pb::End {
            end: Some(pb::end::End::Labels(pb::LabelsRef {
                namespace: "shop".to_owned(),
                labels: [("team".to_owned(), "SECRET".to_owned())].into(),
            })),
        }),
        ..Default::default()
    };
    // What is wrong with a question quotes it.
    let why = "source.ip: \"SECRET\" is not an IP address";
    let failure = Err(("InvalidArgument".to_owned(), why.to_owned()));
    let question = Question::CheckFlow(Box::new(labels), failure);
    let told = Value::Object(Record { question, ..record(admission()) }.to_json(Redaction::Redacted));
    assert_eq!((&told["verdict"], &told["status"]), (&"error".into(), &"InvalidArgument".into()));
    assert_eq!(told["question"]["source"]["labels"]["labels"]["team"], "(redacted)");
    assert_eq!(told["reason"], "source.ip: (redacted)");
    assert_eq!(question::refusal("InvalidArgument", why, Redaction::Full), why);
    assert_eq!(question::refusal("InvalidArgument", why, Redaction::None), "source.ip: (redacted)");
    assert_eq!(question::refusal("Unavailable", "not ready: x", Redaction::None), "not ready: x");
}

#[test]
fn names_are_each_their_own() {
    let (a, b) = (DecisionIds::default(), DecisionIds::default());
    let names: std::collections::BTreeSet<String> =
        (0..100).flat_map(|_| [a.next(), b.next()]).inspect(|id| assert_eq!(id.len(), 32)).collect();
    assert_eq!(names.len(), 200);
}

/// Takes a line, and then nothing until it is told to go on.
struct Stuck(std::sync::mpsc::Receiver<()>);

impl std::io::Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_is_stuck_costs_records_and_nothing_else() {
    let metrics = Arc::new(Metrics::new(true));
    let (go_on, told) = std::sync::mpsc::channel();
    let log = log_into(Sink::Lines(Box::new(Stuck(told))), 4, &metrics);
    for _ in 0..100 {
        log.record(record(admission()));
    }
    // One is being written, four wait; the thread may have taken its first a little late.
    let dropped = records(&metrics, "dropped");
    assert!((95..=96).contains(&dropped), "{dropped}");
    drop(go_on);
    drop(log);
    assert_eq!(records(&metrics, "written"), 100 - dropped);
}

#[test]
fn what_waits_takes_no_more_memory_than_it_may() {
    let metrics = Arc::new(Metrics::new(true));
    let (go_on, told) = std::sync::mpsc::channel();
    let log = log_into(Sink::Lines(Box::new(Stuck(told))), 100, &metrics);
    let object: bytes::Bytes = vec![b' '; 8 << 20].into();
    for _ in 0..20 {
        log.record(record(pb::AdmitRequest { object: object.clone(), ..admission() }));
    }
    // Eight objects have as many bytes as may wait, and their records some more. What is written counts until it is.
    assert_eq!(records(&metrics, "dropped"), 20 - 7);
    drop(go_on);
    drop(log);
    assert_eq!(records(&metrics, "written"), 7);
}

fn log_into(sink: Sink, waiting: usize, metrics: &Arc<Metrics>) -> DecisionLog {
    let writer = Some(Writer::start(sink, waiting, metrics.clone()).unwrap());
    DecisionLog { mode: Mode::All, redaction: Redaction::None, writer, metrics: metrics.clone() }
}

/// How many records there are of which this became.
fn records(metrics: &Metrics, result: &str) -> u64 {
    let publisher = crate::publisher::Publisher::new(["manifests".to_owned()]);
    let scraped = metrics.encode(&publisher).unwrap();
    let line = format!("gavel_decision_log_records_total{{result=\"{result}\"}} ");
    scraped.lines().find_map(|scraped| scraped.strip_prefix(&line)?.parse().ok()).unwrap()
}

#[test]
fn files_are_rotated_and_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.json");
    let metrics = Arc::new(Metrics::new(true));
    let target = Target::File { path: path.clone(), max_bytes: 4096, keep: 2 };
    let log = DecisionLog::new(Mode::All, Redaction::Redacted, target, metrics).unwrap();
    for _ in 0..200 {
        log.record(record(admission()));
        // Slower than the thread writes, so that none is dropped.
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(log);
    let mut files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.len() < 8192, "{}", text.len());
        for line in text.lines() {
            serde_json::from_str::<Value>(line).unwrap();
        }
    }
    let nowhere = Target::File { path: "/nonexistent/log".into(), max_bytes: 4096, keep: 1 };
    let refused = DecisionLog::new(Mode::All, Redaction::None, nowhere, Arc::new(Metrics::new(true)));
    assert!(refused.unwrap_err().to_string().contains("/nonexistent/log"));
}

#[test]
fn which_decisions_are_logged() {
    let metrics = Arc::new(Metrics::new(true));
    let log = |mode| DecisionLog { mode, ..DecisionLog::off(metrics.clone()) };
    assert!(!log(Mode::Off).wants(true));
    assert!(log(Mode::All).wants(false));
    assert!(log(Mode::Sampled(0.0)).wants(true), "what is traced is logged, too");
    assert!(!log(Mode::Sampled(0.0)).wants(false));
    let half = log(Mode::Sampled(0.5));
    let logged = (0..10_000).filter(|_| half.wants(false)).count();
    // Six standard deviations.
    assert!((4700..5300).contains(&logged), "{logged}");
}
