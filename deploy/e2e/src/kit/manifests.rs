//! A small cluster of manifests, for scenarios that need no API server, and a review of one of its pods.

use gavel_proto::v1;
use serde_json::{Value, json};

/// A policy that `builder` may use, two pods, and a policy that lets one of them in.
pub(crate) const MANIFESTS: &str = r#"
apiVersion: policy/v1beta1
kind: PodSecurityPolicy
metadata: {name: nonroot}
spec:
  seLinux: {rule: RunAsAny}
  supplementalGroups: {rule: RunAsAny}
  fsGroup: {rule: RunAsAny}
  runAsUser: {rule: MustRunAsNonRoot}
  volumes: ['*']
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: builder, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: use-nonroot}
rules: [{apiGroups: [policy], resources: [podsecuritypolicies], resourceNames: [nonroot], verbs: [use]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: use-nonroot}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: use-nonroot}
subjects: [{kind: ServiceAccount, name: builder, namespace: shop}]
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.1, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: friend, namespace: shop, labels: {app: friend}}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.2, phase: Running}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}], ports: [{port: 80}]}]
"#;

/// An AdmissionReview of a pod of `builder`, as root or not.
pub(crate) fn review(as_root: bool) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop", "name": "web-1", "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:shop:builder"},
            "object": {
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop"},
                "spec": {
                    "serviceAccountName": "builder",
                    "containers": [{"name": "c", "image": "i", "securityContext": {"runAsUser": if as_root { 0 } else { 1000 }}}],
                },
            },
        },
    })
}

/// A question about two of its pods.
pub(crate) fn flow(from: &str, to: &str, port: u32) -> v1::CheckFlowRequest {
    let pod = |name: &str| {
        let pod = v1::PodRef { namespace: "shop".to_owned(), name: name.to_owned(), ip: String::new() };
        Some(v1::End { end: Some(v1::end::End::Pod(pod)) })
    };
    v1::CheckFlowRequest { source: pod(from), destination: pod(to), port, ..Default::default() }
}
