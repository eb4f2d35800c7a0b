//! Pods as they come: what is read, and what is refused with which field.

use serde_json::json;

use super::support::{ask, pod, policy, snapshot};
use crate::admission::{AdmitRequest, Object, Operation, Phase, Reason};
use crate::rbac::User;

#[test]
fn what_is_no_pod() {
    let snapshot = snapshot(&[policy("p", &json!({}))]);
    let cases = [
        (json!({"apiVersion": "v1", "kind": "Service", "spec": {"containers": [{}]}}), "object.kind"),
        (json!({"apiVersion": "apps/v1", "kind": "Pod", "spec": {"containers": [{}]}}), "object.kind"),
        (json!({"kind": "Pod"}), "object.spec.containers"),
        (pod(&json!({"containers": []})), "object.spec.containers"),
        (pod(&json!({"containers": "c"})), "object.spec.containers"),
        (pod(&json!({"hostPID": 1})), "object.spec.hostPID"),
        (
            pod(&json!({"securityContext": {"sysctls": [{"name": 7}]}})),
            "object.spec.securityContext.sysctls[0].name",
        ),
        (
            pod(&json!({"volumes": [{"name": "v", "csi": {"driver": []}}]})),
            "object.spec.volumes[0].csi.driver",
        ),
        (json!([]), "object"),
        // Serde would take a list for an object.
        (pod(&json!({"securityContext": []})), "object.spec.securityContext"),
        (pod(&json!({"containers": [["c"]]})), "object.spec.containers[0]"),
        (pod(&json!({"volumes": [{"name": "v", "hostPath": ["/"]}]})), "object.spec.volumes[0].hostPath"),
    ];
    for (object, field) in cases {
        let error = ask(&snapshot, &object, Phase::default()).unwrap_err();
        assert_eq!(error.field, field, "{object}: {error}");
    }
}

#[test]
fn null_is_absent() {
    let snapshot = snapshot(&[policy("p", &json!({"runAsUser": {"rule": "MustRunAsNonRoot"}}))]);
    let mut object = pod(
        &json!({"securityContext": null, "volumes": null, "initContainers": null, "runtimeClassName": null,
        "containers": [{"name": "c", "ports": null, "securityContext": null}]}),
    );
    object["metadata"]["annotations"] = json!(null);
    let decision = ask(&snapshot, &object, Phase::default()).unwrap();
    assert!(decision.allowed, "{}", decision.message);
    let paths: Vec<&str> = decision.patch.iter().map(|op| op.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/metadata/annotations",
            "/metadata/annotations/kubernetes.io~1psp",
            "/spec/containers/0/securityContext",
            "/spec/containers/0/securityContext/runAsNonRoot",
        ]
    );
}

#[test]
fn requests_that_are_not_looked_at() {
    let snapshot = snapshot(&[]);
    let user = User::default();
    let good = pod(&json!({})).to_string();
    let ask = |operation, resource, subresource, old: Option<&str>, phase| {
        snapshot.admit(AdmitRequest {
            operation,
            group: "",
            resource,
            subresource,
            namespace: "ns",
            name: "",
            user: &user,
            object: Object::Json { object: good.as_bytes(), old_object: old.map(str::as_bytes) },
            phase,
            explain: false,
            sets_seccomp_fields: false,
        })
    };
    let both = Phase::MutateAndValidate;
    let mut owned = pod(&json!({}));
    owned["metadata"]["ownerReferences"] = json!([{"name": "o"}]);
    owned["metadata"]["finalizers"] = json!(["f"]);
    owned["metadata"]["labels"] = json!({});
    let mut other = owned.clone();
    other["metadata"]["labels"] = json!({"a": "b"});
    let (owned, other) = (owned.to_string(), other.to_string());
    let cases = [
        (Operation::Create, "services", "", None, both, true),
        (Operation::Create, "pods", "ephemeralcontainers", None, both, true),
        (Operation::Delete, "pods", "", None, both, true),
        (Operation::Connect, "pods", "exec", None, both, true),
        (Operation::Update, "pods", "", None, Phase::Mutate, true),
        (Operation::Update, "pods", "", Some(owned.as_str()), both, true),
        (Operation::Update, "pods", "", Some(other.as_str()), both, false),
        (Operation::Update, "pods", "", None, both, false),
        (Operation::Create, "pods", "", None, Phase::Mutate, false),
    ];
    for (operation, resource, subresource, old, phase, ignored) in cases {
        let decision = ask(operation, resource, subresource, old, phase).unwrap();
        let reason = if ignored { Reason::NotApplicable } else { Reason::NoPolicies };
        assert_eq!(decision.reason, reason, "{operation:?} {resource}/{subresource} {phase:?} {old:?}");
        assert_eq!(decision.allowed, ignored);
    }
}
