//! Properties over random objects, changes and requests.

use gavel_conformance::cases::{self, Expected};
use gavel_conformance::question::Question;
use gavel_engine::object::decode::decode;
use gavel_engine::{Change, Object, Snapshot};
use gavel_proto::v1 as pb;
use gavel_server::decide;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::slow;

fn read(value: &Value) -> Object {
    decode(value).unwrap().unwrap()
}

const USERS: [&str; 3] = ["alice", "system:serviceaccount:a:x", "system:serviceaccount:b:x"];
const NAMESPACES: [&str; 2] = ["a", "b"];
const NAMES: [&str; 3] = ["p", "q", "r"];

fn rules() -> impl Strategy<Value = Value> {
    let list = |items: &'static [&'static str]| prop::sample::subsequence(items, 1..=items.len());
    (
        list(&["use", "get", "*"]),
        list(&["policy", "extensions", "", "*"]),
        list(&["podsecuritypolicies", "pods"]),
        prop::sample::subsequence(&NAMES[..], 0..=2),
    )
        .prop_map(|(verbs, groups, resources, names)| {
            json!([{"verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names}])
        })
}

fn subjects() -> impl Strategy<Value = Value> {
    let one = prop_oneof![
        Just(json!({"kind": "User", "name": "alice"})),
        Just(json!({"kind": "Group", "name": "dev"})),
        Just(json!({"kind": "Group", "name": "system:serviceaccounts:a"})),
        Just(json!({"kind": "ServiceAccount", "name": "x"})),
        Just(json!({"kind": "ServiceAccount", "name": "x", "namespace": "b"})),
    ];
    prop::collection::vec(one, 1..3).prop_map(Value::Array)
}

/// A grant of some kind; few names, so that objects replace one another.
fn rbac_object() -> impl Strategy<Value = Object> {
    let names = prop::sample::select(&NAMES[..]);
    let namespaces = prop::sample::select(&NAMESPACES[..]);
    let role =
        (names.clone(), namespaces.clone(), rules(), any::<bool>()).prop_map(|(name, ns, rules, cluster)| {
            let kind = if cluster { "ClusterRole" } else { "Role" };
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
            "metadata": {"name": name, "namespace": ns}, "rules": rules})
        });
    let binding = (names.clone(), namespaces, names, subjects(), any::<(bool, bool)>()).prop_map(
        |(name, ns, role, subjects, (cluster, cluster_role))| {
            let kind = if cluster { "ClusterRoleBinding" } else { "RoleBinding" };
            let role_kind = if cluster || cluster_role { "ClusterRole" } else { "Role" };
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
                "metadata": {"name": name, "namespace": ns}, "subjects": subjects,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role}})
        },
    );
    prop_oneof![role, binding].prop_map(|value| read(&value))
}

/// Changes, of which some take back what others brought.
fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((rbac_object(), prop::bool::weighted(0.25)), 1..30).prop_map(|objects| {
        objects
            .into_iter()
            .map(|(object, gone)| if gone { Change::Remove(object.key()) } else { Change::Upsert(object) })
            .collect()
    })
}

/// What is there once all changes are made, in the order of keys.
fn left_over(changes: &[Change]) -> Vec<Object> {
    let mut objects = std::collections::BTreeMap::new();
    for change in changes {
        match change {
            Change::Upsert(object) => objects.insert(object.key(), object.clone()),
            Change::Remove(key) => objects.remove(key),
        };
    }
    objects.into_values().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Built change by change, at once, and backwards: the same grants, which are those of the slow evaluator.
    #[test]
    fn grants_do_not_depend_on_the_way_to_them(changes in changes()) {
        let objects = left_over(&changes);
        let one_by_one =
            changes.iter().fold(Snapshot::empty(), |snapshot, change| snapshot.apply([change.clone()]));
        let at_once = Snapshot::empty().apply(objects.iter().cloned().map(Change::Upsert));
        let backwards = Snapshot::empty().apply(objects.iter().rev().cloned().map(Change::Upsert));
        prop_assert_eq!(
            one_by_one.counts().collect::<Vec<_>>(),
            at_once.counts().collect::<Vec<_>>()
        );
        for name in USERS {
            for groups in [vec![], vec!["dev"], vec!["system:serviceaccounts:a", "dev"]] {
                let user = gavel_engine::rbac::User {
                    name: name.to_owned(),
                    groups: groups.iter().map(|&group| group.to_owned()).collect(),
                };
                for namespace in NAMESPACES {
                    for policy in NAMES {
                        let slow = ["policy", "extensions"].iter().any(|group| {
                            let action = ("use", *group, "podsecuritypolicies", policy);
                            slow::allows(&objects, name, &groups, namespace, action)
                        });
                        for snapshot in [&one_by_one, &at_once, &backwards] {
                            let rbac = snapshot.rbac();
                            prop_assert_eq!(rbac.usable(&user, namespace).contains(policy), slow);
                            prop_assert_eq!(rbac.may_use(&user, namespace, policy).is_some(), slow);
                        }
                        prop_assert_eq!(
                            one_by_one.rbac().may_use(&user, namespace, policy),
                            backwards.rbac().may_use(&user, namespace, policy)
                        );
                    }
                }
            }
        }
    }

    /// No bytes make the reader of pods panic, and what is no pod is refused, not answered.
    #[test]
    fn any_bytes_are_answered_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let request = pb::AdmitRequest {
            operation: pb::Operation::Create.into(),
            user: Some(pb::UserInfo::default()),
            object: bytes.into(),
            ..Default::default()
        };
        let answer = decide::admit(&Snapshot::empty(), &request);
        prop_assert_eq!(answer.unwrap_err().code() as i32, 3, "INVALID_ARGUMENT");
    }
}

/// The questions of the case file, with everything of the pod that is a string, number, list or object replaced by
/// something else, one at a time: an answer or a refusal, never a panic.
#[test]
fn mutilated_pods_are_answered_or_refused() {
    let mut refused = 0;
    for case in psp_cases().iter().step_by(60) {
        let snapshot = gavel_conformance::decision_point::snapshot(&case.objects).unwrap();
        let Some((Question::Admit(request), _)) = case.questions.first() else { panic!("no admission") };
        for request in mutilated(request) {
            refused += usize::from(decide::admit(&snapshot, &request).is_err());
        }
    }
    assert!(refused > 1000, "{refused}");
}

/// The request, again and again, each time with another part of its pod replaced by something else.
pub(crate) fn mutilated(request: &pb::AdmitRequest) -> impl Iterator<Item = pb::AdmitRequest> {
    let object: Value = serde_json::from_slice(&request.object).unwrap();
    let others = [json!(null), json!(-1), json!("x"), json!([]), json!([null]), json!({}), json!([{}])];
    let places = pointers(&object, String::new()).into_iter();
    places.flat_map(move |place| others.clone().map(|other| (place.clone(), other))).map(
        move |(place, other)| {
            let mut object = object.clone();
            *object.pointer_mut(&place).unwrap() = other;
            pb::AdmitRequest { object: object.to_string().into_bytes().into(), ..request.clone() }
        },
    )
}

fn pointers(value: &Value, at: String) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    let below: Vec<String> =
        children.into_iter().flat_map(|(key, value)| pointers(value, format!("{at}/{key}"))).collect();
    [vec![at], below].concat()
}

pub(crate) fn psp_cases() -> Vec<gavel_conformance::Case> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/psp.jsonl.gz");
    cases::read(&path).unwrap()
}

/// Policies and grants that come in another order, after others that go again, one by one or at once: the same
/// answers, ledger and all.
#[test]
fn admissions_do_not_depend_on_the_way_to_them() {
    let cases: Vec<_> = psp_cases().into_iter().step_by(7).collect();
    for (case, stranger) in cases.iter().zip(cases.iter().skip(1)) {
        let Some((Question::Admit(request), _)) = case.questions.first() else { panic!("no admission") };
        let request = pb::AdmitRequest { explain: true, ..(**request).clone() };
        let upsert = |value: &Value| Change::Upsert(read(value));
        let at_once = Snapshot::empty().apply(case.objects.iter().map(upsert));
        let backwards = Snapshot::empty().apply(case.objects.iter().rev().map(upsert));
        let mut by_way_of_others = Snapshot::empty().apply(stranger.objects.iter().map(upsert));
        for object in &stranger.objects {
            by_way_of_others = by_way_of_others.apply([Change::Remove(read(object).key())]);
        }
        for object in &case.objects {
            by_way_of_others = by_way_of_others.apply([upsert(object)]);
        }
        let answer = |snapshot: &Snapshot| {
            let answer = decide::admit(snapshot, &request).unwrap();
            pb::AdmitResponse { revision: 0, ..answer }
        };
        assert_eq!(answer(&at_once), answer(&backwards), "{}", case.id);
        assert_eq!(answer(&at_once), answer(&by_way_of_others), "{}", case.id);
    }
}

/// Of every admission in the case file: its patch applied, and asked again, nothing changes any more, and the same
/// policy admits the pod.
#[test]
fn a_patch_applied_and_asked_again_changes_nothing() {
    let mut asked_again = 0;
    for case in psp_cases() {
        let snapshot = gavel_conformance::decision_point::snapshot(&case.objects).unwrap();
        let Some((Question::Admit(request), Expected::Admission(expected, _))) = case.questions.first()
        else {
            panic!("no admission")
        };
        if !expected.allowed || request.operation() != pb::Operation::Create || expected.psp.is_empty() {
            continue;
        }
        let first = decide::admit(&snapshot, request).unwrap();
        let mut object: Value = serde_json::from_slice(&request.object).unwrap();
        json_patch::patch(&mut object, &serde_json::from_slice::<json_patch::Patch>(&first.patch).unwrap())
            .unwrap();
        let object = object.to_string().into_bytes().into();
        let again = decide::admit(&snapshot, &pb::AdmitRequest { object, ..(**request).clone() }).unwrap();
        assert!(again.allowed, "{}: {}", case.id, again.message);
        // Another policy, earlier by name, may admit as it is what this one made of the pod; its name is then all that
        // changes.
        let operations: Vec<Value> =
            if again.patch.is_empty() { Vec::new() } else { serde_json::from_slice(&again.patch).unwrap() };
        let only_names = operations.iter().all(|op| op["path"] == "/metadata/annotations/kubernetes.io~1psp");
        assert!(only_names, "{}: {operations:?}", case.id);
        assert_eq!(operations.is_empty(), again.policy == first.policy, "{}", case.id);
        asked_again += 1;
    }
    assert!(asked_again > 1000, "{asked_again}");
}
