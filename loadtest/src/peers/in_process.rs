//! Admissions in one's own process, beside the evaluators of Kubernetes.

use std::hint::black_box;

use anyhow::{Context as _, ensure};
use gavel_engine::admission::pod::PodView;
use gavel_engine::admission::{AdmitRequest, Object, Operation, Phase};
use gavel_engine::rbac::User;
use gavel_engine::{Change, Snapshot};
use gavel_proto::v1;
use gavel_server::decide;
use serde_json::{Value, json};

use super::admissions::Admissions;
use super::go::Evaluator;
use super::{Bench, Row, micros, micros_of, same, told};

impl Bench<'_> {
    /// Kubernetes 1.24's plugin, by the same policies and grants.
    ///
    /// # Errors
    /// When it does not answer, or not the same.
    pub(super) fn beside_plugin(
        &self,
        all: &Admissions,
        snapshot: &Snapshot,
        gavel: &[bool],
    ) -> anyhow::Result<[Row; 2]> {
        let asked = json!({"objects": all.objects, "requests": all.requests});
        let (plugin, answers) = Evaluator::start(&self.build("kubernetes-1.24", ".")?, &asked)?;
        same("Kubernetes 1.24", gavel, &answers, |index| all.requests[index].to_string())?;
        let name = "Kubernetes 1.24's plugin";
        let rows = [
            self.row("Admit of a decoded pod, in process", name, gavel.len(), 1.0),
            self.row("Admit of JSON, in process", name, gavel.len(), 1.0),
        ];
        self.measured(rows, snapshot, Phase::MutateAndValidate, &all.questions, plugin)
    }

    /// pod-security-admission, whose policies are built in: beside its standard "restricted" Gavel has one policy that
    /// says the same as far as a PodSecurityPolicy can, and it is counted how often both agree. Nothing is filled in,
    /// as there.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn beside_standard(&self, all: &Admissions) -> anyhow::Result<[Row; 2]> {
        let policy = self.peers.modules.join("pod-security/restricted.yaml");
        let reading = gavel_source::manifests::read(&[policy]);
        ensure!(reading.errors.is_empty(), "{:?}", reading.errors.first());
        let objects = reading.objects.into_iter().map(|located| Change::Upsert(located.item));
        let snapshot = Snapshot::empty().apply(objects);

        let pods: Vec<Value> =
            all.requests.iter().map(|request| with_seccomp_annotations(&request["object"])).collect();
        let validated = |(question, pod): (&v1::AdmitRequest, &Value)| v1::AdmitRequest {
            object: pod.to_string().into(),
            phase: v1::Phase::Validate.into(),
            ..question.clone()
        };
        let questions: Vec<_> = all.questions.iter().zip(&pods).map(validated).collect();
        let asked: Vec<Value> = pods.iter().map(|pod| json!({"object": pod})).collect();
        let (restricted, theirs) =
            Evaluator::start(&self.build("pod-security", ".")?, &json!({"requests": asked}))?;
        let mut agree = 0;
        for (question, theirs) in questions.iter().zip(&theirs) {
            let ours = decide::admit(&snapshot, question).map_err(anyhow::Error::from)?.allowed;
            agree += usize::from(ours == *theirs);
        }
        told(&format!("pod-security-admission: {agree} of {} answers are the same", questions.len()));
        let name = "pod-security-admission v0.37.2, \"restricted\"";
        let rows = [
            Row {
                same: agree,
                ..self.row("Admit of a decoded pod by one policy, in process", name, theirs.len(), 1.0)
            },
            Row {
                same: agree,
                ..self.row("Admit of JSON by one policy, in process", name, theirs.len(), 1.0)
            },
        ];
        self.measured(rows, &snapshot, Phase::Validate, &questions, restricted)
    }

    /// Measures two rows: pods that are decoded, asked of the engine, and JSON, asked of what answers calls.
    fn measured(
        &self,
        mut rows: [Row; 2],
        snapshot: &Snapshot,
        phase: Phase,
        questions: &[v1::AdmitRequest],
        mut peer: Evaluator,
    ) -> anyhow::Result<[Row; 2]> {
        let window = self.peers.window;
        let decoded = questions.iter().map(Decoded::of).collect::<anyhow::Result<Vec<_>>>()?;
        let [of_decoded, of_json] = &mut rows;
        for _ in 0..self.peers.rounds {
            let request = |index: usize| decoded[index].request(phase);
            of_decoded.gavel_micros.push(micros_of(window, decoded.len(), request, |request| {
                let _ = black_box(snapshot.admit(request));
            }));
            of_decoded.peer_micros.push(peer.micros("decoded", window)?);
            of_json.gavel_micros.push(micros(window, questions.len(), |index| {
                let _ = black_box(decide::admit(snapshot, &questions[index]));
            }));
            of_json.peer_micros.push(peer.micros("json", window)?);
        }
        Ok(rows)
    }
}

/// What API servers wrote into pods beside seccomp fields while there were PodSecurityPolicies, whose validate phase may
/// not do it (`applySeccompVersionSkew` of `pkg/registry/core/pod/strategy.go`).
fn with_seccomp_annotations(pod: &Value) -> Value {
    let is_runtime_default =
        |owner: &Value| owner["securityContext"]["seccompProfile"]["type"].as_str() == Some("RuntimeDefault");
    let mut stored = pod.clone();
    let annotations = &mut stored["metadata"]["annotations"];
    if is_runtime_default(&pod["spec"]) {
        annotations["seccomp.security.alpha.kubernetes.io/pod"] = "runtime/default".into();
    }
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array().into_iter().flatten() {
            if let Some(name) = container["name"].as_str().filter(|_| is_runtime_default(container)) {
                annotations[format!("container.seccomp.security.alpha.kubernetes.io/{name}")] =
                    "runtime/default".into();
            }
        }
    }
    stored
}

/// A question whose pod somebody has read already, as Go's evaluators are asked.
struct Decoded<'a> {
    namespace: &'a str,
    name: &'a str,
    user: User,
    pod: PodView<'a>,
}

impl<'a> Decoded<'a> {
    fn of(question: &'a v1::AdmitRequest) -> anyhow::Result<Self> {
        let user = question.user.as_ref().context("a question of nobody")?;
        Ok(Self {
            namespace: &question.namespace,
            name: &question.name,
            user: User { name: user.username.clone(), groups: user.groups.clone() },
            pod: serde_json::from_slice(&question.object)?,
        })
    }

    fn request(&self, phase: Phase) -> AdmitRequest<'_> {
        AdmitRequest {
            operation: Operation::Create,
            group: "",
            resource: "pods",
            subresource: "",
            namespace: self.namespace,
            name: self.name,
            user: &self.user,
            object: Object::Typed { pod: self.pod.clone(), is_only_gc: false },
            phase,
            explain: false,
            sets_seccomp_fields: false,
        }
    }
}
