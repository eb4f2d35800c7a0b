//! Clusters of any size, always the same for the same numbers, as the JSON an API server would send.
//!
//! A hundred pods and ten policies a namespace, unless there are many small ones. Few applications have many replicas,
//! many have few; one pod in eight belongs to a stateful set, which gives each of its pods a label of its own, hence an
//! identity of its own.

#![allow(dead_code, reason = "not every benchmark uses everything")]
#![allow(clippy::panic, reason = "a generator that writes nonsense is a mistake to be seen")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use gavel_engine::network::{End, FlowRequest};
use gavel_engine::object::Protocol;
use gavel_engine::object::decode::decode_slice;
use gavel_engine::{Change, Object, Snapshot};

const APPS: u32 = 12;
/// Of policies.
const KINDS: u32 = 10;

/// So many pods, in namespaces of so many.
#[derive(Clone, Copy)]
pub(crate) struct Cluster {
    /// How many pods there are.
    pub(crate) pods: u32,
    pods_a_namespace: u32,
    policies_a_namespace: u32,
}

impl Cluster {
    /// So many pods, and a tenth as many policies.
    pub(crate) const fn of(pods: u32) -> Self {
        Self { pods, pods_a_namespace: 100, policies_a_namespace: 10 }
    }

    /// Of many small namespaces: four pods and three policies each. With 100,000 pods that is what Antrea's controller
    /// is measured with: 25,000 namespaces and 75,000 policies.
    pub(crate) const fn of_small_namespaces(pods: u32) -> Self {
        Self { pods, pods_a_namespace: 4, policies_a_namespace: 3 }
    }

    /// How many policies there are.
    pub(crate) fn policies(self) -> u32 {
        self.namespaces() * self.policies_a_namespace
    }

    /// How many namespaces there are.
    pub(crate) fn namespaces(self) -> u32 {
        self.pods.div_ceil(self.pods_a_namespace)
    }

    /// Every object: namespaces, pods, policies.
    pub(crate) fn json(self) -> impl Iterator<Item = String> {
        let namespaces = (0..self.namespaces()).map(namespace);
        let pods = (0..self.pods).map(move |number| self.pod(number, &address(number).to_string()));
        let policies = (0..self.policies()).map(move |number| self.policy(number));
        namespaces.chain(pods).chain(policies)
    }

    /// Every object, read.
    pub(crate) fn objects(self) -> impl Iterator<Item = Object> {
        self.json().map(|json| read(&json))
    }

    /// A snapshot of every object.
    pub(crate) fn snapshot(self) -> Snapshot {
        Snapshot::empty().apply(self.objects().map(Change::Upsert))
    }

    /// Source and destination of questions: two in three within a namespace, the others anywhere.
    pub(crate) fn questions(self, count: u64) -> Vec<(IpAddr, IpAddr)> {
        let question = |seed: u64| {
            let source = random(seed * 3) as u32 % self.pods;
            let anywhere = random(seed * 3 + 1) as u32 % self.pods;
            let nearby =
                source / self.pods_a_namespace * self.pods_a_namespace + anywhere % self.pods_a_namespace;
            let destination = if seed.is_multiple_of(3) { anywhere } else { nearby };
            (address(source), address(destination))
        };
        (0..count).map(question).collect()
    }

    /// A pod as the API server sends it, if with fewer conditions.
    pub(crate) fn pod(self, number: u32, address: &str) -> String {
        let namespace = number / self.pods_a_namespace;
        let app = app(u64::from(number));
        let tier = ["web", "api", "db"][app as usize % 3];
        let stateful = number.is_multiple_of(8);
        let (kind, owner, name, label) = if stateful {
            let name = format!("app-{app}-{number}");
            let label = format!("\"statefulset.kubernetes.io/pod-name\":\"{name}\"");
            ("StatefulSet", format!("app-{app}"), name, label)
        } else {
            let hash = format!("{:x}", random(u64::from(namespace * APPS + app)) as u32);
            let owner = format!("app-{app}-{hash}");
            (
                "ReplicaSet",
                owner.clone(),
                format!("{owner}-{number}"),
                format!("\"pod-template-hash\":\"{hash}\""),
            )
        };
        format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","namespace":"team-{namespace}","uid":"0b9a7a44-6a9f-4e0c-9b1e-{number:012}","resourceVersion":"{number}","creationTimestamp":"2024-05-01T00:00:00Z","labels":{{"app":"app-{app}","app.kubernetes.io/name":"app-{app}","tier":"{tier}","version":"v1",{label}}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"{kind}","name":"{owner}","uid":"5d2f8e3c-1111-2222-3333-444455556666","controller":true,"blockOwnerDeletion":true}}]}},"spec":{{"serviceAccountName":"app-{app}","nodeName":"node-{}","restartPolicy":"Always","containers":[{{"name":"main","image":"registry.example/app-{app}:1.2.3","imagePullPolicy":"IfNotPresent","env":[{{"name":"PORT","value":"8080"}},{{"name":"LOG_LEVEL","value":"info"}}],"resources":{{"requests":{{"cpu":"100m","memory":"128Mi"}},"limits":{{"memory":"256Mi"}}}},"ports":[{{"name":"http","containerPort":8080,"protocol":"TCP"}},{{"name":"metrics","containerPort":9090,"protocol":"TCP"}}],"volumeMounts":[{{"name":"token","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","readOnly":true}}]}}]}},"status":{{"phase":"Running","podIP":"{address}","podIPs":[{{"ip":"{address}"}}],"hostIP":"172.16.0.{}","startTime":"2024-05-01T00:00:00Z"}}}}"#,
            number % 1000,
            number % 250,
        )
    }

    fn policy(self, number: u32) -> String {
        let namespace = number / self.policies_a_namespace;
        let (app, other) = (app(u64::from(number) + 7), app(u64::from(number) + 13));
        let spec = match number % KINDS {
            0 => r#""podSelector":{},"policyTypes":["Ingress","Egress"]"#.to_owned(),
            1 => r#""podSelector":{},"policyTypes":["Egress"],"egress":[{"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"kube-system"}},"podSelector":{"matchLabels":{"k8s-app":"kube-dns"}}}],"ports":[{"protocol":"UDP","port":53},{"protocol":"TCP","port":53}]}]"#.to_owned(),
            2 => r#""podSelector":{"matchLabels":{"tier":"web"}},"policyTypes":["Ingress"],"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["10.0.0.0/8","192.168.0.0/16"]}}],"ports":[{"port":8080}]}]"#.to_owned(),
            3 => format!(r#""podSelector":{{"matchLabels":{{"app":"app-{app}"}}}},"policyTypes":["Ingress"],"ingress":[{{"from":[{{"namespaceSelector":{{"matchLabels":{{"team":"t{}"}}}},"podSelector":{{"matchLabels":{{"tier":"web"}}}}}}],"ports":[{{"port":"http"}}]}}]"#, number % 7),
            4 => r#""podSelector":{},"policyTypes":["Ingress"],"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"monitoring"}}}],"ports":[{"port":"metrics"}]}]"#.to_owned(),
            5 => r#""podSelector":{"matchExpressions":[{"key":"tier","operator":"In","values":["web","api"]}]},"policyTypes":["Egress"],"egress":[{"to":[{"podSelector":{"matchExpressions":[{"key":"tier","operator":"In","values":["api","db"]}]}}],"ports":[{"port":8000,"endPort":9000}]}]"#.to_owned(),
            _ => format!(r#""podSelector":{{"matchLabels":{{"app":"app-{app}"}}}},"policyTypes":["Ingress"],"ingress":[{{"from":[{{"podSelector":{{"matchLabels":{{"app":"app-{other}"}}}}}}],"ports":[{{"port":8080}}]}}]"#),
        };
        format!(
            r#"{{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{{"name":"policy-{number}","namespace":"team-{namespace}"}},"spec":{{{spec}}}}}"#
        )
    }
}

/// Whether the one may reach the other's port 8080 by TCP.
pub(crate) fn allowed(snapshot: &Snapshot, (source, destination): &(IpAddr, IpAddr)) -> bool {
    let (source, destination) = (End::Ip(*source), End::Ip(*destination));
    let request = FlowRequest { source, destination, protocol: Protocol::Tcp, port: 8080 };
    snapshot.check_flow(&request).is_ok_and(|decision| decision.allowed())
}

/// Asks one question after the other, and counts those that are answered with yes. The next question is known only when
/// this one is answered: to a server they come one by one, so none may hide its waiting for memory behind the next.
pub(crate) fn one_by_one<Q>(questions: &[Q], answer: impl Fn(&Q) -> bool) -> usize {
    let (mut place, mut yes) = (0, 0);
    while let Some(question) = questions.get(place) {
        let answer = usize::from(answer(question));
        yes += answer;
        place += 1 + (black_box(answer) & black_box(0));
    }
    yes
}

/// One object, read.
pub(crate) fn read(json: &str) -> Object {
    match decode_slice(json.as_bytes()) {
        Ok(Some(object)) => object,
        other => panic!("the generator wrote what cannot be read: {other:?}: {json}"),
    }
}

/// splitmix64.
pub(crate) fn random(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The address of the pod of this number.
pub(crate) fn address(pod: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0A00_0000 + pod + 1))
}

/// The application a pod belongs to: low numbers have most of the pods.
fn app(seed: u64) -> u32 {
    let (a, b) = (random(seed) as u32 % APPS, random(seed ^ 0xA5A5) as u32 % APPS);
    a.min(b)
}

fn namespace(number: u32) -> String {
    let team = number % 7;
    format!(
        r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"team-{number}","labels":{{"kubernetes.io/metadata.name":"team-{number}","team":"t{team}","env":"{}"}}}}}}"#,
        if number.is_multiple_of(3) { "prod" } else { "dev" }
    )
}
