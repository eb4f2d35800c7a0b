//! Applications, the workloads they are, and their pods.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::cluster::{Cluster, MONITORING, SYSTEM, namespace_name};
use crate::random::{Topic, below, next, suffix, uuid};

/// Most applications of a namespace.
const APPLICATIONS: u32 = 24;
/// Pods a node.
const PODS_A_NODE: u32 = 30;
/// What applications are, by their number.
pub(crate) const TIERS: [&str; 4] = ["web", "api", "db", "batch"];

/// What owns a pod.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Deployment,
    StatefulSet,
    DaemonSet,
}

/// An application of a namespace.
#[derive(Clone, Copy)]
pub(crate) struct Application {
    pub(crate) namespace: u32,
    pub(crate) number: u32,
}

impl Application {
    pub(crate) fn name(self) -> String {
        match self.namespace {
            SYSTEM => "coredns".to_owned(),
            MONITORING if self.owner() == Owner::DaemonSet => "node-exporter".to_owned(),
            MONITORING => "prometheus".to_owned(),
            _ => format!("app-{}", self.number),
        }
    }

    pub(crate) fn tier(self) -> &'static str {
        TIERS[self.number as usize % TIERS.len()]
    }

    /// Databases are stateful; one application in eleven runs on every node.
    pub(crate) fn owner(self) -> Owner {
        match (self.namespace, self.number) {
            (SYSTEM, _) => Owner::Deployment,
            (MONITORING, 0) => Owner::StatefulSet,
            (MONITORING, _) => Owner::DaemonSet,
            (_, number) if number % 4 == 2 => Owner::StatefulSet,
            (_, number) if number % 11 == 7 => Owner::DaemonSet,
            _ => Owner::Deployment,
        }
    }

    /// Pods of the node's own network: an exporter has to see it.
    pub(crate) fn on_host_network(self) -> bool {
        self.namespace == MONITORING && self.owner() == Owner::DaemonSet
    }

    fn key(self) -> u64 {
        u64::from(self.namespace) << 32 | u64::from(self.number)
    }
}

impl Cluster {
    /// The application a pod belongs to: low numbers have most of the pods.
    pub(crate) fn application(&self, namespace: u32, pod: u32) -> Application {
        let of_namespace = self.pods_of(namespace);
        if namespace == SYSTEM || namespace == MONITORING {
            let number = if namespace == SYSTEM { 0 } else { pod - of_namespace.start };
            return Application { namespace, number };
        }
        let count = self.applications(namespace);
        let random = self.random(Topic::Application, u64::from(pod));
        let parts = [0, 1, 2].map(|step| below(next(random, step), count));
        Application { namespace, number: parts.into_iter().min().unwrap_or(0) }
    }

    /// How many applications a namespace has room for; not each has pods.
    pub(crate) fn applications(&self, namespace: u32) -> u32 {
        let pods = u32::try_from(self.pods_of(namespace).len()).unwrap_or(u32::MAX);
        (pods / 3 + 2).min(APPLICATIONS)
    }

    /// Where a pod is reached.
    pub(crate) fn address(&self, pod: u32) -> Ipv4Addr {
        let namespace = self.namespace_of(pod);
        if self.application(namespace, pod).on_host_network() {
            return self.node_address(pod);
        }
        Ipv4Addr::from_bits(0x0A00_0001 + pod)
    }

    fn node(&self, pod: u32) -> u32 {
        let nodes = self.size.pods.div_ceil(PODS_A_NODE);
        // Pods of a namespace are spread over all nodes.
        below(self.random(Topic::Hash, u64::from(pod)), nodes)
    }

    fn node_address(&self, pod: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(0xAC10_0001 + self.node(pod))
    }

    fn template_hash(&self, application: Application) -> String {
        suffix(self.random(Topic::Hash, application.key()), 10)
    }

    pub(crate) fn pod_name(&self, namespace: u32, pod: u32) -> String {
        let application = self.application(namespace, pod);
        let name = application.name();
        // The number keeps names apart; five random characters would not, of so many pods.
        match application.owner() {
            Owner::Deployment => format!("{name}-{}-{pod}", self.template_hash(application)),
            Owner::StatefulSet | Owner::DaemonSet => format!("{name}-{pod}"),
        }
    }

    /// Labels of an application's pods; those that its selector has come first.
    pub(crate) fn labels(&self, application: Application) -> Value {
        if application.namespace == SYSTEM {
            return json!({"k8s-app": "kube-dns"});
        }
        let name = application.name();
        json!({
            "app": name, "app.kubernetes.io/name": name, "tier": application.tier(),
            "version": format!("v{}", application.number % 3 + 1),
        })
    }

    pub(crate) fn pod_labels(&self, application: Application, pod: &str) -> Value {
        let mut labels = self.labels(application);
        match application.owner() {
            Owner::Deployment => labels["pod-template-hash"] = self.template_hash(application).into(),
            Owner::StatefulSet => {
                labels["statefulset.kubernetes.io/pod-name"] = pod.into();
                labels["controller-revision-hash"] = self.revision_hash(application).into();
            }
            Owner::DaemonSet => {
                labels["controller-revision-hash"] = self.revision_hash(application).into();
                labels["pod-template-generation"] = "1".into();
            }
        }
        labels
    }

    fn revision_hash(&self, application: Application) -> String {
        format!("{}-{}", application.name(), self.template_hash(application))
    }

    /// The owner of an application's pods.
    pub(crate) fn owner_reference(&self, application: Application) -> Value {
        let name = application.name();
        let (kind, name) = match application.owner() {
            Owner::Deployment => ("ReplicaSet", format!("{name}-{}", self.template_hash(application))),
            Owner::StatefulSet => ("StatefulSet", name),
            Owner::DaemonSet => ("DaemonSet", name),
        };
        reference(kind, &name, &self.owner_uid(application, kind))
    }

    fn owner_uid(&self, application: Application, kind: &str) -> String {
        uuid(next(self.random(Topic::Identifier, application.key()), kind.len() as u64))
    }

    /// A pod that runs, as the API server tells it.
    pub(crate) fn pod_object(&self, namespace: u32, pod: u32) -> Value {
        let application = self.application(namespace, pod);
        let name = self.pod_name(namespace, pod);
        let address = self.address(pod).to_string();
        let mut object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": namespace_name(namespace),
                "uid": uuid(self.random(Topic::Identifier, u64::from(pod))),
                "resourceVersion": (pod + 1000).to_string(), "creationTimestamp": "2026-05-01T00:00:00Z",
                "labels": self.pod_labels(application, &name),
                "ownerReferences": [self.owner_reference(application)],
            },
            "spec": {
                "serviceAccountName": self.account(application), "nodeName": format!("node-{}", self.node(pod)),
                "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
                "containers": [{
                    "name": "main", "image": format!("registry.example/{}:1.2.3", application.name()),
                    "imagePullPolicy": "IfNotPresent",
                    "env": [{"name": "PORT", "value": "8080"}, {"name": "LOG_LEVEL", "value": "info"}],
                    "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
                    "ports": ports(application),
                    "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}],
                }],
            },
            "status": {
                "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
                "hostIP": self.node_address(pod).to_string(), "startTime": "2026-05-01T00:00:00Z",
            },
        });
        if application.on_host_network() {
            object["spec"]["hostNetwork"] = true.into();
        }
        object
    }

    /// Workloads that have pods, and their service accounts.
    pub(crate) fn workload_objects(&self) -> impl Iterator<Item = Value> + '_ {
        (0..self.size.namespaces).flat_map(|namespace| {
            let mut replicas = std::collections::BTreeMap::<u32, u32>::new();
            for pod in self.pods_of(namespace) {
                *replicas.entry(self.application(namespace, pod).number).or_default() += 1;
            }
            let mut accounts = BTreeSet::new();
            let mut objects = Vec::new();
            for (number, replicas) in replicas {
                let application = Application { namespace, number };
                if accounts.insert(self.account(application)) {
                    objects.push(json!({
                        "apiVersion": "v1", "kind": "ServiceAccount",
                        "metadata": {"name": self.account(application), "namespace": namespace_name(namespace)},
                    }));
                }
                self.add_workload(application, replicas, &mut objects);
            }
            objects
        })
    }

    fn add_workload(&self, application: Application, replicas: u32, objects: &mut Vec<Value>) {
        let (namespace, name) = (namespace_name(application.namespace), application.name());
        let labels = self.labels(application);
        let template = json!({
            "metadata": {"labels": labels},
            "spec": {
                "serviceAccountName": self.account(application),
                "containers": [{"name": "main", "image": format!("registry.example/{name}:1.2.3"), "ports": ports(application)}],
            },
        });
        let workload = |kind: &str, name: &str, uid: String| {
            json!({
                "apiVersion": "apps/v1", "kind": kind,
                "metadata": {"name": name, "namespace": namespace, "uid": uid, "labels": labels},
                "spec": {"selector": {"matchLabels": labels}, "template": template},
            })
        };
        let kind = match application.owner() {
            Owner::Deployment => "Deployment",
            Owner::StatefulSet => "StatefulSet",
            Owner::DaemonSet => "DaemonSet",
        };
        let mut owner = workload(kind, &name, self.owner_uid(application, kind));
        if application.owner() != Owner::DaemonSet {
            owner["spec"]["replicas"] = replicas.into();
        }
        if application.owner() == Owner::StatefulSet {
            owner["spec"]["serviceName"] = name.as_str().into();
        }
        objects.push(owner);
        if application.owner() == Owner::Deployment {
            let hash = self.template_hash(application);
            let set = format!("{name}-{hash}");
            let mut set = workload("ReplicaSet", &set, self.owner_uid(application, "ReplicaSet"));
            set["metadata"]["ownerReferences"] =
                json!([reference("Deployment", &name, &self.owner_uid(application, "Deployment"))]);
            set["spec"]["replicas"] = replicas.into();
            for path in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
                if let Some(labels) = set.pointer_mut(path) {
                    labels["pod-template-hash"] = hash.as_str().into();
                }
            }
            objects.push(set);
        }
    }
}

fn reference(kind: &str, name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid,
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// Ports that an application listens on.
pub(crate) fn ports(application: Application) -> Value {
    if application.namespace == SYSTEM {
        return json!([
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
        ]);
    }
    let metrics = json!({"name": "metrics", "containerPort": 9090, "protocol": "TCP"});
    match application.tier() {
        "db" => json!([{"name": "sql", "containerPort": 5432, "protocol": "TCP"}, metrics]),
        "batch" => json!([metrics]),
        // One in three listens elsewhere for the same name, which is what names of ports are for.
        _ if application.number % 3 == 1 => {
            json!([{"name": "http", "containerPort": 8443, "protocol": "TCP"}, metrics])
        }
        _ => json!([{"name": "http", "containerPort": 8080, "protocol": "TCP"}, metrics]),
    }
}
