//! A pod as a message and the same pod as JSON have the same answer, byte for byte: patch, words, ledger.

use std::cell::Cell;

use gavel_conformance::question::Question;
use gavel_conformance::typed;
use gavel_engine::Snapshot;
use gavel_proto::v1 as pb;
use gavel_server::decide;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::properties::{mutilated, psp_cases};

/// Asks both ways, and tells whether the message was asked: of JSON that is no pod there is none.
fn same(snapshot: &Snapshot, request: &pb::AdmitRequest) -> bool {
    let as_json = decide::admit(snapshot, request);
    let what = || String::from_utf8_lossy(&request.object).into_owned();
    match (as_json, typed::request_of(request)) {
        (Ok(answer), Some(message)) => {
            assert_eq!(decide::admit(snapshot, &message).unwrap(), answer, "{}", what());
            true
        }
        (Err(status), Some(message)) => {
            let refused = decide::admit(snapshot, &message).unwrap_err();
            assert_eq!(refused.message(), status.message().replacen("object", "pod", 1), "{}", what());
            true
        }
        (Err(_), None) => false,
        (Ok(answer), None) => {
            // Only what is looked at is read.
            assert_eq!(answer.reason(), pb::AdmitReason::NotApplicable, "no message says: {}", what());
            false
        }
    }
}

fn admissions() -> impl Iterator<Item = (String, Snapshot, Vec<pb::AdmitRequest>)> {
    psp_cases().into_iter().map(|case| {
        let snapshot = gavel_conformance::decision_point::snapshot(&case.objects).unwrap();
        let admission = |(question, _)| match question {
            Question::Admit(request) => Some(*request),
            _ => None,
        };
        (case.id, snapshot, case.questions.into_iter().filter_map(admission).collect())
    })
}

#[test]
fn every_case() {
    let (mut asked, mut updates) = (0, 0);
    for (_, snapshot, requests) in admissions() {
        for request in requests {
            for phase in [pb::Phase::MutateAndValidate, pb::Phase::Mutate, pb::Phase::Validate] {
                for (explain, set_seccomp_fields) in [(false, true), (true, false)] {
                    let phase = phase.into();
                    let request = pb::AdmitRequest { phase, explain, set_seccomp_fields, ..request.clone() };
                    asked += usize::from(same(&snapshot, &request));
                }
            }
            updates += usize::from(!request.old_object.is_empty());
        }
    }
    assert!(asked > 20_000 && updates > 100, "{asked}, {updates} of them updates");
}

/// Whatever of a pod is replaced by something else: both ways it is refused, or answered alike.
#[test]
fn mutilated_pods() {
    let (mut asked, mut refused) = (0, 0);
    for (_, snapshot, requests) in admissions().step_by(90) {
        let Some(request) = requests.first() else { continue };
        for request in mutilated(request) {
            if same(&snapshot, &request) {
                asked += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(asked > 1000 && refused > 1000, "{asked} {refused}");
}

/// Draws a pod out of numbers: every field there is, each of them absent, null, empty or full.
struct Draw<'n> {
    numbers: &'n [u8],
    next: Cell<usize>,
}

impl Draw<'_> {
    fn below(&self, most: usize) -> usize {
        let at = self.next.replace(self.next.get() + 1);
        usize::from(self.numbers[at % self.numbers.len()]) % most
    }

    fn one(&self, values: &[Value]) -> Value {
        values[self.below(values.len())].clone()
    }

    /// An object with some of these fields.
    fn some(&self, fields: &[(&str, &dyn Fn() -> Value)]) -> Value {
        let mut object = Map::new();
        for (name, value) in fields {
            match self.below(6) {
                0 | 1 => {}
                2 => drop(object.insert((*name).to_owned(), Value::Null)),
                _ => drop(object.insert((*name).to_owned(), value())),
            }
        }
        Value::Object(object)
    }

    fn list(&self, most: usize, item: &dyn Fn() -> Value) -> Value {
        (0..self.below(most + 1)).map(|_| item()).collect()
    }

    fn name(&self) -> Value {
        self.one(&[json!("a"), json!("b"), json!(""), json!("é\"\n")])
    }

    fn id(&self) -> Value {
        self.one(&[json!(0), json!(1), json!(1000), json!(-7), json!(i64::MAX)])
    }

    fn yes(&self) -> Value {
        json!(self.below(2) == 0)
    }

    fn se_linux(&self) -> Value {
        let part = || self.name();
        self.some(&[("user", &part), ("role", &part), ("type", &part), ("level", &part)])
    }

    fn profile(&self) -> Value {
        self.some(&[
            ("type", &|| self.one(&["Localhost", "Unconfined", "RuntimeDefault", "x"].map(Value::from))),
            ("localhostProfile", &|| self.name()),
        ])
    }

    fn container(&self) -> Value {
        let names = || self.list(2, &|| self.one(&["ALL", "*", "NET_ADMIN", "KILL"].map(Value::from)));
        let context = || {
            self.some(&[
                ("capabilities", &|| self.some(&[("add", &names), ("drop", &names)])),
                ("privileged", &|| self.yes()),
                ("seLinuxOptions", &|| self.se_linux()),
                ("runAsUser", &|| self.id()),
                ("runAsGroup", &|| self.id()),
                ("runAsNonRoot", &|| self.yes()),
                ("readOnlyRootFilesystem", &|| self.yes()),
                ("allowPrivilegeEscalation", &|| self.yes()),
                ("procMount", &|| self.one(&["Default", "Unmasked", ""].map(Value::from))),
                ("seccompProfile", &|| self.profile()),
                ("appArmorProfile", &|| self.profile()),
            ])
        };
        let port = || json!([0, 80, 8080, -1][self.below(4)]);
        self.some(&[
            ("name", &|| self.name()),
            ("ports", &|| self.list(2, &|| self.some(&[("containerPort", &port), ("hostPort", &port)]))),
            ("volumeMounts", &|| {
                self.list(2, &|| self.some(&[("name", &|| self.name()), ("readOnly", &|| self.yes())]))
            }),
            ("securityContext", &context),
            ("image", &|| self.name()),
        ])
    }

    fn volume(&self) -> Value {
        let path = || self.one(&["/", "/var/log", "/etc/", "token", "namespace"].map(Value::from));
        let item = || {
            let field = || {
                let path = || self.one(&[json!("metadata.namespace"), json!("x")]);
                self.some(&[("apiVersion", &|| json!("v1")), ("fieldPath", &path)])
            };
            self.some(&[("path", &path), ("fieldRef", &field)])
        };
        let projection = || {
            self.some(&[
                ("serviceAccountToken", &|| self.some(&[("path", &path), ("audience", &|| self.name())])),
                ("configMap", &|| json!({"name": "kube-root-ca.crt"})),
                ("downwardAPI", &|| self.some(&[("items", &|| self.list(2, &item))])),
            ])
        };
        let mut volume = self.some(&[("name", &|| self.name())]);
        let sources: [(&str, &dyn Fn() -> Value); 9] = [
            ("hostPath", &|| self.some(&[("path", &path)])),
            ("flexVolume", &|| self.some(&[("driver", &|| self.name())])),
            ("csi", &|| self.some(&[("driver", &|| self.name())])),
            ("projected", &|| self.some(&[("sources", &|| self.list(2, &projection))])),
            ("cephfs", &|| json!({})),
            ("secret", &|| json!({"secretName": "s"})),
            ("emptyDir", &|| json!({})),
            ("image", &|| json!({"reference": "r"})),
            ("brandNew", &|| json!("anything")),
        ];
        for _ in 0..self.below(3) {
            let (name, source) = sources[self.below(sources.len())];
            volume[name] = if self.below(8) == 0 { Value::Null } else { source() };
        }
        volume
    }

    fn pod(&self) -> Value {
        let annotations = || {
            let keys = [
                "seccomp.security.alpha.kubernetes.io/pod",
                "container.seccomp.security.alpha.kubernetes.io/a",
                "container.apparmor.security.beta.kubernetes.io/a",
                "kubernetes.io/psp",
                "prometheus.io/scrape",
            ];
            let value = || self.one(&["runtime/default", "unconfined", "localhost/x", ""].map(Value::from));
            self.some(&keys.map(|key| (key, &value as &dyn Fn() -> Value)))
        };
        let context = || {
            self.some(&[
                ("seLinuxOptions", &|| self.se_linux()),
                ("runAsUser", &|| self.id()),
                ("runAsGroup", &|| self.id()),
                ("runAsNonRoot", &|| self.yes()),
                ("supplementalGroups", &|| self.list(2, &|| self.id())),
                ("fsGroup", &|| self.id()),
                ("sysctls", &|| self.list(2, &|| json!({"name": "net.core.somaxconn", "value": "1"}))),
                ("seccompProfile", &|| self.profile()),
                ("appArmorProfile", &|| self.profile()),
            ])
        };
        let spec = || {
            let mut spec = self.some(&[
                ("serviceAccountName", &|| self.name()),
                ("serviceAccount", &|| self.name()),
                ("hostNetwork", &|| self.yes()),
                ("hostPID", &|| self.yes()),
                ("hostIPC", &|| self.yes()),
                ("runtimeClassName", &|| self.name()),
                ("securityContext", &context),
                ("volumes", &|| self.list(3, &|| self.volume())),
                ("initContainers", &|| self.list(2, &|| self.container())),
                ("containers", &|| self.list(3, &|| self.container())),
                ("ephemeralContainers", &|| self.list(1, &|| self.container())),
                ("dnsPolicy", &|| json!("ClusterFirst")),
            ]);
            if self.below(10) > 0 && spec["containers"].as_array().is_none_or(Vec::is_empty) {
                spec["containers"] = json!([self.container()]);
            }
            spec
        };
        let metadata = || {
            self.some(&[
                ("name", &|| self.name()),
                ("generateName", &|| self.name()),
                ("annotations", &annotations),
                ("finalizers", &|| json!(["a"])),
            ])
        };
        let mut pod = self.some(&[
            ("apiVersion", &|| json!("v1")),
            ("kind", &|| json!("Pod")),
            ("metadata", &metadata),
            ("status", &|| self.some(&[("phase", &|| self.name())])),
        ]);
        if self.below(10) > 0 {
            pod["spec"] = spec();
        }
        pod
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Random pods, created and updated, under the policies of a random case; the pod's account may use them.
    #[test]
    fn random_pods(numbers in prop::collection::vec(any::<u8>(), 64..512), case in 0_usize..3000, changes: bool) {
        let cases = CASES.with(std::rc::Rc::clone);
        let (policies, request) = &cases[case % cases.len()];
        let draw = Draw { numbers: &numbers, next: Cell::new(0) };
        let pod = draw.pod();
        let mut old = if changes { draw.pod() } else { pod.clone() };
        if let Some(metadata) = old.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("finalizers");
        }
        for phase in [pb::Phase::MutateAndValidate, pb::Phase::Mutate, pb::Phase::Validate] {
            let created = pb::AdmitRequest {
                operation: pb::Operation::Create.into(),
                object: pod.to_string().into_bytes().into(),
                old_object: Vec::new().into(),
                phase: phase.into(),
                explain: true,
                ..request.clone()
            };
            same(policies, &created);
            let operation = pb::Operation::Update.into();
            let old_object = old.to_string().into_bytes().into();
            same(policies, &pb::AdmitRequest { operation, old_object, ..created });
        }
    }
}

thread_local! {
    static CASES: std::rc::Rc<Vec<(Snapshot, pb::AdmitRequest)>> = std::rc::Rc::new(
        admissions().step_by(30).filter_map(|(_, policies, requests)| Some((policies, requests.into_iter().next()?))).collect(),
    );
}
