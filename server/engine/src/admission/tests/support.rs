//! Policies, grants and pods for a test.

use serde_json::{Value, json};

use crate::admission::{AdmitRequest, Decision, InvalidRequest, Object, Operation, Phase};
use crate::object::decode::decode;
use crate::rbac::User;
use crate::{Change, Snapshot};

/// A policy that allows what is left open, with `spec` merged in.
pub(super) fn policy(name: &str, spec: &Value) -> Value {
    let any = json!({"rule": "RunAsAny"});
    let mut policy = json!({"apiVersion": "policy/v1beta1", "kind": "PodSecurityPolicy", "metadata": {"name": name},
        "spec": {"seLinux": any, "supplementalGroups": any, "fsGroup": any, "runAsUser": any, "volumes": ["*"]}});
    for (key, value) in spec.as_object().unwrap() {
        policy["spec"][key] = value.clone();
    }
    policy
}

/// A snapshot of these policies, all of which `system:serviceaccount:ns:sa` may use, and `alice` those called `alice*`.
pub(super) fn snapshot(policies: &[Value]) -> Snapshot {
    let names: Vec<&str> =
        policies.iter().map(|policy| policy["metadata"]["name"].as_str().unwrap()).collect();
    let alices: Vec<&str> = names.iter().copied().filter(|name| name.starts_with("alice")).collect();
    let mut objects = policies.to_vec();
    for (name, names, subject) in [
        ("sa", names, json!({"kind": "ServiceAccount", "name": "sa", "namespace": "ns"})),
        ("alice", alices, json!({"kind": "User", "name": "alice"})),
    ] {
        if names.is_empty() {
            continue;
        }
        objects.push(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
            "rules": [{"apiGroups": ["policy"], "resources": ["podsecuritypolicies"], "verbs": ["use"], "resourceNames": names}]}));
        objects.push(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}, "subjects": [subject]}));
    }
    let read = |object: &Value| Change::Upsert(decode(object).unwrap().unwrap());
    Snapshot::empty().apply(objects.iter().map(read))
}

/// A pod of service account `sa` with one container, with `spec` merged in.
pub(super) fn pod(spec: &Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "ns"},
        "spec": {"serviceAccountName": "sa", "containers": [{"name": "c"}]}});
    for (key, value) in spec.as_object().unwrap() {
        pod["spec"][key] = value.clone();
    }
    pod
}

/// A question about creating a pod, in a phase.
pub(super) fn ask(snapshot: &Snapshot, pod: &Value, phase: Phase) -> Result<Decision, InvalidRequest> {
    asked_by("bob", snapshot, pod, phase)
}

pub(super) fn asked_by(
    user: &str,
    snapshot: &Snapshot,
    pod: &Value,
    phase: Phase,
) -> Result<Decision, InvalidRequest> {
    asked(user, snapshot, pod, phase, false)
}

/// [`ask`] in the mutate phase, for a patch that also sets the fields of seccomp.
pub(super) fn ask_for_seccomp_fields(snapshot: &Snapshot, pod: &Value) -> Decision {
    asked("bob", snapshot, pod, Phase::Mutate, true).unwrap()
}

fn asked(
    user: &str,
    snapshot: &Snapshot,
    pod: &Value,
    phase: Phase,
    sets_seccomp_fields: bool,
) -> Result<Decision, InvalidRequest> {
    let user = User { name: user.to_owned(), groups: Vec::new() };
    snapshot.admit(AdmitRequest {
        operation: Operation::Create,
        group: "",
        resource: "pods",
        subresource: "",
        namespace: "ns",
        name: "",
        user: &user,
        object: Object::Json { object: pod.to_string().as_bytes(), old_object: None },
        phase,
        explain: true,
        sets_seccomp_fields,
    })
}

/// The fields that are objected to, with the messages behind them.
pub(super) fn objections(policy_spec: &Value, pod_spec: &Value) -> Vec<String> {
    let snapshot = snapshot(&[policy("only", policy_spec)]);
    let decision = ask(&snapshot, &pod(pod_spec), Phase::MutateAndValidate).unwrap();
    decision.violations.iter().map(ToString::to_string).collect()
}

/// What the mutate phase fills in: path and value.
pub(super) fn filled_in(policy_spec: &Value, pod_spec: &Value) -> Vec<(String, Value)> {
    let snapshot = snapshot(&[policy("only", policy_spec)]);
    let decision = ask(&snapshot, &pod(pod_spec), Phase::Mutate).unwrap();
    assert!(decision.allowed, "{}", decision.message);
    let named = decision.patch.into_iter().filter(|op| !op.path.ends_with("kubernetes.io~1psp"));
    named.map(|op| (op.path, op.value.unwrap())).filter(|(_, value)| *value != json!({})).collect()
}
