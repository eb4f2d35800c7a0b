//! `Admit` beside what decoding its 5 KB object costs others: serde_json into a whole, typed pod.
//!
//! `cargo bench -p gavel-conformance --bench admit`. What counts is the ratio of the rows, not the nanoseconds.

#![expect(clippy::expect_used, reason = "in a benchmark a panic is the report")]

use divan::{Bencher, black_box};
use gavel_engine::{Change, Snapshot};
use gavel_proto::v1 as pb;
use gavel_server::decide;
use k8s_openapi::api::core::v1::Pod;
use prost::Message as _;
use serde_json::json;

fn main() {
    divan::main();
}

/// A pod of the size that webhooks are sent: 5 KB of JSON, most of which no policy looks at.
fn pod() -> Vec<u8> {
    let container = |name: &str| {
        let probe = json!({"httpGet": {"path": "/healthz/ready", "port": 8080, "scheme": "HTTP"},
            "initialDelaySeconds": 5, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3});
        let variables: Vec<_> = (0..8)
            .map(|i| json!({"name": format!("SETTING_NUMBER_{i}"), "value": format!("some value of medium length {i}")}))
            .collect();
        json!({"name": name, "image": format!("registry.example.com/team/{name}:v1.2.3"), "imagePullPolicy": "IfNotPresent",
            "env": variables, "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "livenessProbe": probe, "readinessProbe": probe,
            "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
            "securityContext": {"runAsUser": 1000, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]}},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "volumeMounts": [{"name": "config", "mountPath": "/etc/app", "readOnly": true},
                {"name": "kube-api-access-x7k2p", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}]})
    };
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "web-7bf7686874-", "namespace": "shop",
            "labels": {"app.kubernetes.io/name": "web", "app.kubernetes.io/part-of": "shop", "pod-template-hash": "7bf7686874"},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7bf7686874",
                "uid": "6d1b1e1f-8a5c-4f5e-9d59-5c9d5f0f3b3a", "controller": true, "blockOwnerDeletion": true}]},
        "spec": {"serviceAccountName": "web", "serviceAccount": "web", "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30, "enableServiceLinks": true,
            "securityContext": {"fsGroup": 2000, "runAsNonRoot": true},
            "containers": [container("web"), container("proxy"), container("logs")],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
            "volumes": [{"name": "config", "configMap": {"name": "web", "defaultMode": 420}},
                {"name": "kube-api-access-x7k2p", "projected": {"defaultMode": 420, "sources": [
                    {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                    {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}]}}]}});
    serde_json::to_vec(&pod).expect("JSON")
}

/// `policies` PodSecurityPolicies, of which the pod's service account may use the last.
fn snapshot(policies: usize) -> Snapshot {
    let mut objects = vec![
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "use"},
            "rules": [{"apiGroups": ["policy"], "resources": ["podsecuritypolicies"], "verbs": ["use"],
                "resourceNames": [format!("policy-{:05}", policies - 1)]}]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "use", "namespace": "shop"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "use"},
            "subjects": [{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}]}),
    ];
    objects.extend((0..policies).map(|i| {
        json!({"apiVersion": "policy/v1beta1", "kind": "PodSecurityPolicy", "metadata": {"name": format!("policy-{i:05}")},
            "spec": {"privileged": false, "allowPrivilegeEscalation": false, "requiredDropCapabilities": ["ALL"],
                "volumes": ["configMap", "emptyDir", "projected", "secret"], "readOnlyRootFilesystem": true,
                "runAsUser": {"rule": "MustRunAs", "ranges": [{"min": 1000, "max": 1999}]}, "seLinux": {"rule": "RunAsAny"},
                "supplementalGroups": {"rule": "RunAsAny"}, "fsGroup": {"rule": "MustRunAs", "ranges": [{"min": 1, "max": 65535}]}}})
    }));
    let changes = objects.iter().map(|object| {
        Change::Upsert(
            gavel_engine::object::decode::decode(object).expect("valid").expect("of a kind in use"),
        )
    });
    Snapshot::empty().apply(changes)
}

#[divan::bench]
fn decode_into_k8s_openapi(bencher: Bencher<'_, '_>) {
    let object = pod();
    bencher.bench(|| serde_json::from_slice::<Pod>(black_box(&object)).expect("a pod"));
}

/// The question in the form of the wire; its pod as JSON, or as a message.
fn question(typed: bool) -> pb::AdmitRequest {
    let as_json = pb::AdmitRequest {
        operation: pb::Operation::Create.into(),
        namespace: "shop".into(),
        user: Some(pb::UserInfo {
            username: "system:serviceaccount:kube-system:replicaset-controller".into(),
            groups: vec!["system:authenticated".into()],
            ..Default::default()
        }),
        object: pod().into(),
        ..Default::default()
    };
    if typed { gavel_conformance::typed::request_of(&as_json).expect("a pod") } else { as_json }
}

/// The answer to what has been read from the wire: of JSON, reading the pod is part of it.
fn answer(bencher: Bencher<'_, '_>, policies: usize, typed: bool) {
    let (question, snapshot) = (question(typed), snapshot(policies));
    assert!(decide::admit(&snapshot, &question).expect("a pod").allowed);
    bencher.bench(|| decide::admit(&snapshot, black_box(&question)));
}

#[divan::bench(args = [1, 10, 1000])]
fn admit_json(bencher: Bencher<'_, '_>, policies: usize) {
    answer(bencher, policies, false);
}

#[divan::bench(args = [1, 10, 1000])]
fn admit_typed(bencher: Bencher<'_, '_>, policies: usize) {
    answer(bencher, policies, true);
}

/// Reading the question from the wire, which comes before its answer.
#[divan::bench(args = [false, true])]
fn read_from_wire(bencher: Bencher<'_, '_>, typed: bool) {
    let bytes = question(typed).encode_to_vec();
    bencher.bench(|| pb::AdmitRequest::decode(black_box(bytes.as_slice())));
}
