//! Pods that are about to be created, as an API server hands them to a webhook: defaults filled in, about 5 KB.

use serde_json::{Value, json};

use crate::cluster::{Cluster, namespace_name};
use crate::random::{Topic, below, next, suffix, uuid};
use crate::workload::{Application, Owner, ports};

/// What somebody asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Everything that strict policies want.
    Strict,
    /// Nothing: defaults have to be filled in.
    Plain,
    /// A user of its own.
    User,
    /// Something that most may not have.
    Much,
}

impl Cluster {
    /// An AdmissionReview, by number.
    pub(crate) fn admission(&self, number: u64) -> Value {
        let random = self.random(Topic::Admission, number);
        // Few admissions are of the system; else of a pod that there is, as if it were made anew.
        let pod = below(random, self.size.pods);
        let namespace = self.namespace_of(pod);
        let application = self.application(namespace, pod);
        let wish = match below(next(random, 2), 20) {
            0..8 => Wish::Strict,
            8..13 => Wish::Plain,
            13..16 => Wish::User,
            _ => Wish::Much,
        };
        let object = self.new_pod(application, pod, wish, random);
        let name = object["metadata"]["name"].clone();
        let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
        let resource = json!({"group": "", "version": "v1", "resource": "pods"});
        let mut request = json!({
            "uid": uuid(next(random, 3)), "kind": kind, "resource": resource,
            "requestKind": kind, "requestResource": resource,
            "namespace": namespace_name(namespace), "operation": "CREATE",
            "userInfo": self.creator(application, next(random, 4)),
            "object": object, "oldObject": null, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        });
        if name.is_string() {
            request["name"] = name;
        }
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request})
    }

    fn new_pod(&self, application: Application, pod: u32, wish: Wish, random: u64) -> Value {
        let namespace = namespace_name(application.namespace);
        let full_name = self.pod_name(application.namespace, pod);
        let owner = self.owner_reference(application);
        let mut metadata = json!({
            "namespace": namespace, "creationTimestamp": null,
            "labels": self.pod_labels(application, &full_name),
            "annotations": {
                "checksum/config": format!("{:016x}{:016x}", next(random, 5), next(random, 6)),
                "prometheus.io/scrape": "true", "prometheus.io/port": "9090",
            },
            "ownerReferences": [owner], "managedFields": [managed_fields(&owner, application)],
        });
        // The mutating phase knows no name of what a controller lets the API server name.
        match application.owner() {
            Owner::StatefulSet => metadata["name"] = full_name.into(),
            _ => metadata["generateName"] = format!("{}-", owner["name"].as_str().unwrap_or("pod")).into(),
        }
        json!({
            "kind": "Pod", "apiVersion": "v1", "metadata": metadata,
            "spec": self.spec(application, wish, random), "status": {},
        })
    }

    fn spec(&self, application: Application, wish: Wish, random: u64) -> Value {
        let name = application.name();
        let token = format!("kube-api-access-{}", suffix(next(random, 7), 5));
        let mut volumes = vec![
            json!({"name": "config", "configMap": {"name": format!("{name}-config"), "defaultMode": 420}}),
            json!({"name": "cache", "emptyDir": {}}),
            json!({"name": token, "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
            ]}}),
        ];
        if wish == Wish::Much && below(next(random, 8), 3) == 0 {
            volumes.push(json!({"name": "logs", "hostPath": {"path": "/var/log/pods", "type": ""}}));
        }
        let mut pod_security = json!({});
        let mut main = self.container("main", application, &token, wish, random);
        match wish {
            Wish::Strict => {
                pod_security = json!({
                    "runAsNonRoot": true, "runAsUser": 1000 + below(next(random, 9), 20) * 100, "runAsGroup": 30001,
                    "fsGroup": 30001, "supplementalGroups": [30001], "seccompProfile": {"type": "RuntimeDefault"},
                });
            }
            Wish::User => pod_security = json!({"runAsUser": 30000 + below(next(random, 9), 100)}),
            Wish::Much if below(next(random, 8), 3) == 1 => {
                main["securityContext"]["privileged"] = true.into();
            }
            Wish::Plain | Wish::Much => {}
        }
        let mut spec = json!({
            "volumes": volumes,
            "initContainers": [self.container("migrate", application, &token, wish, random)],
            "containers": [main, self.container("proxy", application, &token, wish, random)],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "serviceAccountName": self.account(application), "serviceAccount": self.account(application),
            "securityContext": pod_security, "schedulerName": "default-scheduler",
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            ],
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
                "weight": 100,
                "podAffinityTerm": {"labelSelector": {"matchLabels": {"app": name}}, "topologyKey": "kubernetes.io/hostname"},
            }]}},
            "priority": 0, "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
        });
        if wish == Wish::Much && below(next(random, 8), 3) == 2 {
            spec["hostNetwork"] = true.into();
        }
        spec
    }

    fn container(&self, part: &str, application: Application, token: &str, wish: Wish, random: u64) -> Value {
        let name = application.name();
        let is_main = part == "main";
        let mut container = json!({
            "name": part, "image": format!("registry.example/team/{name}-{part}:1.{}.0", below(random, 30)),
            "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
            "volumeMounts": [
                {"name": "config", "mountPath": "/etc/app", "readOnly": true},
                {"name": token, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
            ],
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent",
        });
        if wish == Wish::Strict {
            container["securityContext"] = json!({
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": true,
            });
        }
        if is_main {
            let probe = |path: &str| {
                json!({
                    "httpGet": {"path": path, "port": 8080, "scheme": "HTTP"}, "initialDelaySeconds": 5,
                    "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
                })
            };
            container["ports"] = ports(application);
            container["livenessProbe"] = probe("/livez");
            container["readinessProbe"] = probe("/readyz");
            container["env"] = json!([
                {"name": "LOG_LEVEL", "value": "info"}, {"name": "PORT", "value": "8080"},
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
                {"name": "DATABASE_PASSWORD", "valueFrom": {"secretKeyRef": {"name": format!("{name}-db"), "key": "password"}}},
            ]);
        }
        container
    }
}

fn managed_fields(owner: &Value, application: Application) -> Value {
    let owner_key = format!("k:{{\"uid\":\"{}\"}}", owner["uid"].as_str().unwrap_or_default());
    let manager = match application.owner() {
        Owner::Deployment => "kube-controller-manager",
        Owner::StatefulSet | Owner::DaemonSet => "kube-controller-manager-apps",
    };
    json!({
        "manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-05-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {
                "f:annotations": {".": {}, "f:checksum/config": {}, "f:prometheus.io/scrape": {}},
                "f:labels": {".": {}, "f:app": {}, "f:tier": {}, "f:pod-template-hash": {}},
                "f:ownerReferences": {".": {}, owner_key: {}},
            },
            "f:spec": {
                "f:containers": {"k:{\"name\":\"main\"}": {
                    ".": {}, "f:env": {}, "f:image": {}, "f:name": {}, "f:ports": {}, "f:resources": {},
                }},
                "f:serviceAccountName": {}, "f:volumes": {},
            },
        },
    })
}
