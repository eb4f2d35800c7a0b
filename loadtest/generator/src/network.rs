//! NetworkPolicies as people write them.

use serde_json::{Value, json};

use crate::cluster::{Cluster, FIRST, TEAMS, namespace_name};
use crate::random::{Topic, below, next};
use crate::workload::Application;

impl Cluster {
    /// The NetworkPolicies: each namespace gets one of each kind in turn, the most usual ones first.
    pub fn network_policies(&self) -> impl Iterator<Item = Value> + '_ {
        let users = self.size.namespaces - FIRST;
        (0..self.size.policies).map(move |number| {
            let (namespace, layer) = (FIRST + number % users, number / users);
            self.network_policy(number, namespace, layer)
        })
    }

    fn network_policy(&self, number: u32, namespace: u32, layer: u32) -> Value {
        let random = self.random(Topic::Policy, u64::from(number));
        let count = self.applications(namespace);
        // Policies are written for the applications that have most of the pods, too.
        let application = |step: u64| {
            let number = below(next(random, step), count).min(below(next(random, step + 10), count));
            Application { namespace, number }.name()
        };
        let (one, other) = (application(1), application(2));
        let (kind, spec) = match (layer, layer % 8) {
            (0, _) => ("default-deny", default_deny(namespace)),
            (1, _) => ("allow-dns", dns()),
            (_, 2) => ("from-app", app_to_app(&one, &other)),
            (_, 3) => ("to-app", egress_to_app(&one, &other)),
            (_, 4) => ("from-monitoring", monitoring()),
            (_, 5) => ("from-team", from_team(&one, below(next(random, 3), TEAMS))),
            (_, 6) => ("tiers", tiers()),
            (_, 7) => ("to-internet", internet(&one)),
            (_, 0) => ("from-outside", from_outside(random)),
            _ => ("from-app", app_to_app(&one, &other)),
        };
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": format!("{kind}-{layer}"), "namespace": namespace_name(namespace)},
            "spec": spec,
        })
    }
}

/// One namespace in three lets nothing out, either.
fn default_deny(namespace: u32) -> Value {
    let types: &[&str] = if namespace.is_multiple_of(3) { &["Ingress", "Egress"] } else { &["Ingress"] };
    json!({"podSelector": {}, "policyTypes": types})
}

fn dns() -> Value {
    json!({
        "podSelector": {}, "policyTypes": ["Egress"],
        "egress": [
            {
                "to": [{
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                }],
                "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
            },
            // Within the namespace, too: a policy for DNS alone would shut in everybody whom nothing else lets out.
            {"to": [{"podSelector": {}}]},
        ],
    })
}

fn app_to_app(to: &str, from: &str) -> Value {
    json!({
        "podSelector": {"matchLabels": {"app": to}}, "policyTypes": ["Ingress"],
        "ingress": [{
            "from": [{"podSelector": {"matchLabels": {"app": from}}}],
            "ports": [{"port": 8080}, {"protocol": "TCP", "port": "sql"}],
        }],
    })
}

fn egress_to_app(from: &str, to: &str) -> Value {
    json!({
        "podSelector": {"matchLabels": {"app": from}}, "policyTypes": ["Egress"],
        "egress": [{
            "to": [{"podSelector": {"matchLabels": {"app": to}}}],
            "ports": [{"protocol": "TCP", "port": "http"}],
        }],
    })
}

fn monitoring() -> Value {
    json!({
        "podSelector": {}, "policyTypes": ["Ingress"],
        "ingress": [{
            "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "ports": [{"port": "metrics"}],
        }],
    })
}

fn from_team(to: &str, team: u32) -> Value {
    json!({
        "podSelector": {"matchLabels": {"app": to}}, "policyTypes": ["Ingress"],
        "ingress": [{
            "from": [{
                "namespaceSelector": {"matchLabels": {"team": format!("t{team}")}},
                "podSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["web", "api"]}]},
            }],
            "ports": [{"port": "http"}],
        }],
    })
}

fn tiers() -> Value {
    let tiers =
        |values: &[&str]| json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": values}]});
    json!({
        "podSelector": tiers(&["web", "api", "db"]), "policyTypes": ["Ingress", "Egress"],
        "ingress": [{
            "from": [{"podSelector": tiers(&["web", "api"])}],
            "ports": [{"port": 8000, "endPort": 9000}, {"port": 5432}],
        }],
        "egress": [{
            "to": [{"podSelector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["batch"]}]}}],
            "ports": [{"port": 8000, "endPort": 9000}, {"port": 5432}],
        }],
    })
}

fn internet(from: &str) -> Value {
    json!({
        "podSelector": {"matchLabels": {"app": from}}, "policyTypes": ["Egress"],
        "egress": [{
            "to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]}}],
            "ports": [{"port": 443}],
        }],
    })
}

fn from_outside(random: u64) -> Value {
    let office = below(random, 256);
    json!({
        "podSelector": {"matchLabels": {"tier": "web"}}, "policyTypes": ["Ingress"],
        "ingress": [{
            "from": [
                {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "203.0.113.0/24"]}},
                {"ipBlock": {"cidr": format!("192.168.{office}.0/24")}},
            ],
            "ports": [{"port": "http"}],
        }],
    })
}
