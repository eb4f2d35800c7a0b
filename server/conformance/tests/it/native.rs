//! What a running Kubernetes v1.24.17 said to a tutorial and its variations: `cases/native-1.24.txt`, encoded. Every
//! message and every pod's outcome asserted here is looked up in that text as well.

use gavel_conformance::decision_point::snapshot;
use gavel_proto::v1 as pb;
use gavel_server::decide;
use serde_json::{Value, json};

const NATIVE: &str = include_str!("../../cases/native-1.24.txt");

fn policy(name: &str, run_as_user: &Value) -> Value {
    json!({"apiVersion": "policy/v1beta1", "kind": "PodSecurityPolicy", "metadata": {"name": name},
        "spec": {"seLinux": {"rule": "RunAsAny"}, "supplementalGroups": {"rule": "RunAsAny"},
            "fsGroup": {"rule": "RunAsAny"}, "runAsUser": run_as_user, "volumes": ["*"]}})
}

fn nonroot() -> Vec<Value> {
    vec![policy("nonroot-psp", &json!({"rule": "MustRunAsNonRoot"})), role("nonroot-psp")]
}

fn range() -> Vec<Value> {
    let rule = json!({"rule": "MustRunAs", "ranges": [{"min": 2000, "max": 2001}]});
    vec![policy("range-psp", &rule), role("range-psp")]
}

fn role(policy: &str) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": policy},
        "rules": [{"apiGroups": ["policy"], "resources": ["podsecuritypolicies"], "resourceNames": [policy], "verbs": ["use"]}]})
}

fn binding(policy: &str) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": policy, "namespace": "ns"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": policy},
        "subjects": [{"kind": "ServiceAccount", "name": "nonroot-sa", "namespace": "ns"}]})
}

/// A pod with this name (or generateName, where it ends in a dash) and these security contexts.
fn pod(name: &str, context: &Value, container: &Value) -> Value {
    let field = if name.ends_with('-') { "generateName" } else { "name" };
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {field: name, "namespace": "ns"},
        "spec": {"serviceAccountName": "nonroot-sa", "securityContext": context,
            "containers": [{"name": "web", "image": "web", "securityContext": container}]}})
}

fn admit(objects: &[Vec<Value>], user: &str, groups: &[&str], pod: &Value) -> pb::AdmitResponse {
    let request = pb::AdmitRequest {
        operation: pb::Operation::Create.into(),
        namespace: "ns".to_owned(),
        user: Some(pb::UserInfo {
            username: user.to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..Default::default()
        }),
        object: pod.to_string().into_bytes().into(),
        ..Default::default()
    };
    decide::admit(&snapshot(&objects.concat()).unwrap(), &request).unwrap()
}

/// The pod of a ReplicaSet.
fn replica(objects: &[Vec<Value>], pod: &Value) -> pb::AdmitResponse {
    let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
    admit(objects, "system:serviceaccount:kube-system:replicaset-controller", &groups, pod)
}

#[track_caller]
fn refused(answer: &pb::AdmitResponse, message: &str) {
    assert!(NATIVE.contains(message), "Kubernetes said no such thing: {message}");
    assert!(!answer.allowed);
    assert_eq!(answer.message, message);
    assert_eq!(answer.code, 403);
}

/// Admitted under a policy; the container's security context afterwards is as Kubernetes printed it.
#[track_caller]
fn admitted(answer: &pb::AdmitResponse, pod: &Value, policy: &str, context: &str) {
    assert!(NATIVE.contains(&format!("psp={policy}")) && NATIVE.contains(&format!("ctrSC={context}")));
    assert!(answer.allowed, "{}", answer.message);
    assert_eq!(answer.policy, policy);
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &serde_json::from_slice::<json_patch::Patch>(&answer.patch).unwrap())
        .unwrap();
    assert_eq!(pod["metadata"]["annotations"]["kubernetes.io/psp"], policy);
    assert_eq!(
        pod["spec"]["containers"][0]["securityContext"],
        serde_json::from_str::<Value>(context).unwrap()
    );
}

#[test]
fn scenario_0_no_policy_at_all() {
    let none = json!({});
    let message = r#"pods "web-56b4784c74-" is forbidden: PodSecurityPolicy: no providers available to validate pod request"#;
    refused(&replica(&[], &pod("web-56b4784c74-", &none, &none)), message);
    let message =
        r#"pods "solo" is forbidden: PodSecurityPolicy: no providers available to validate pod request"#;
    refused(&admit(&[], "admin", &["system:masters"], &pod("solo", &none, &none)), message);
}

#[test]
fn scenario_1_not_authorised() {
    let message = r#"pods "web-56b4784c74-" is forbidden: PodSecurityPolicy: unable to admit pod: []"#;
    let pod = pod("web-56b4784c74-", &json!({"runAsUser": 1001, "fsGroup": 2001}), &json!({}));
    refused(&replica(&[nonroot()], &pod), message);
}

#[test]
fn scenarios_2_and_3_admitted() {
    let granted = [nonroot(), vec![binding("nonroot-psp")]];
    let one = pod("web-56b4784c74-", &json!({"runAsUser": 1001, "fsGroup": 2001}), &json!({}));
    admitted(&replica(&granted, &one), &one, "nonroot-psp", "{}");
    let three = pod("web-59976457b5-", &json!({}), &json!({}));
    admitted(&replica(&granted, &three), &three, "nonroot-psp", r#"{"runAsNonRoot":true}"#);
}

#[test]
fn scenarios_4_to_6_root() {
    let granted = [nonroot(), vec![binding("nonroot-psp")]];
    let cases = [
        (
            "web-85f76cd65d-",
            json!({"runAsUser": 0}),
            json!({}),
            "runAsUser: Invalid value: 0: running with the root UID is forbidden",
        ),
        (
            "web-74fbf5686f-",
            json!({}),
            json!({"runAsNonRoot": false}),
            "runAsNonRoot: Invalid value: false: must be true",
        ),
        (
            "web-cbd9747fc-",
            json!({}),
            json!({"runAsUser": 0}),
            "runAsUser: Invalid value: 0: running with the root UID is forbidden",
        ),
    ];
    for (name, context, container, error) in cases {
        let message = format!(
            "pods \"{name}\" is forbidden: PodSecurityPolicy: unable to admit pod: [spec.containers[0].securityContext.{error}]"
        );
        refused(&replica(&granted, &pod(name, &context, &container)), &message);
    }
}

/// Kubernetes refused scenario 7's Deployment before any admission, as its API server did not allow privileged
/// containers; run again with one that does, it said this.
#[test]
fn scenario_7_privileged_and_a_host_port() {
    let granted = [nonroot(), vec![binding("nonroot-psp")]];
    let mut pod = pod("web-7bf7686874-", &json!({"runAsUser": 1001}), &json!({"privileged": true}));
    pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 80}]);
    let message = r#"pods "web-7bf7686874-" is forbidden: PodSecurityPolicy: unable to admit pod: [spec.containers[0].securityContext.privileged: Invalid value: true: Privileged containers are not allowed spec.containers[0].hostPort: Invalid value: 80: Host port 80 is not allowed to be used. Allowed ports: []]"#;
    refused(&replica(&granted, &pod), message);
}

#[test]
fn scenarios_8_to_10_two_policies() {
    let both = [nonroot(), range(), vec![binding("nonroot-psp"), binding("range-psp")]];
    let message = r#"pods "web-85f76cd65d-" is forbidden: PodSecurityPolicy: unable to admit pod: [spec.containers[0].securityContext.runAsUser: Invalid value: 0: running with the root UID is forbidden spec.containers[0].securityContext.runAsUser: Invalid value: 0: must be in the ranges: [{2000 2001}]]"#;
    refused(&replica(&both, &pod("web-85f76cd65d-", &json!({"runAsUser": 0}), &json!({}))), message);
    let open = pod("web-59976457b5-", &json!({}), &json!({}));
    admitted(&replica(&both, &open), &open, "nonroot-psp", r#"{"runAsNonRoot":true}"#);
    let ranged = [nonroot(), range(), vec![binding("range-psp")]];
    admitted(&replica(&ranged, &open), &open, "range-psp", r#"{"runAsUser":2000}"#);
}

#[test]
fn scenario_11_created_directly() {
    let admins = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "cluster-admin"}, "subjects": [{"kind": "Group", "name": "system:masters"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}});
    let admin = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "cluster-admin"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    let granted = [nonroot(), vec![binding("nonroot-psp"), admins, admin]];
    let create = |user: &str, groups: &[&str], pod: &Value| admit(&granted, user, groups, pod);
    let dev = ["system:authenticated"];
    let mut direct = pod("direct", &json!({}), &json!({}));
    direct["spec"]["serviceAccountName"] = json!("default");
    refused(
        &create("dev", &dev, &direct),
        r#"pods "direct" is forbidden: PodSecurityPolicy: unable to admit pod: []"#,
    );
    let direct2 = pod("direct2", &json!({}), &json!({}));
    admitted(&create("dev", &dev, &direct2), &direct2, "nonroot-psp", r#"{"runAsNonRoot":true}"#);
    for name in ["direct3", "raw"] {
        let message = format!(
            "pods \"{name}\" is forbidden: PodSecurityPolicy: unable to admit pod: \
             [spec.containers[0].securityContext.runAsUser: Invalid value: 0: running with the root UID is forbidden]"
        );
        let answer = create("dev", &dev, &pod(name, &json!({"runAsUser": 0}), &json!({})));
        assert!(NATIVE.replace("\\\"", "\"").contains(&message));
        assert_eq!(answer.message, message);
    }
    // The administrator may use every policy, in any namespace.
    let mut solo = pod("solo", &json!({}), &json!({}));
    solo["spec"]["serviceAccountName"] = json!("default");
    admitted(&create("admin", &["system:masters"], &solo), &solo, "nonroot-psp", r#"{"runAsNonRoot":true}"#);
}
