//! Service accounts, and who may use which policy.

use serde_json::{Value, json};

use crate::cluster::{Cluster, FIRST, MONITORING, SYSTEM, TEAMS, namespace_name};
use crate::psp::role_name;
use crate::random::{Topic, below, next};
use crate::workload::Application;

/// Users of a team.
const USERS: u32 = 20;

impl Cluster {
    /// The service account of an application: one in four uses the namespace's own.
    pub(crate) fn account(&self, application: Application) -> String {
        if application.namespace >= FIRST && application.number % 4 == 3 {
            return "default".to_owned();
        }
        application.name()
    }

    /// The policy granted by a binding. Half of the grants are of the first eight, which everybody shares.
    fn granted(&self, random: u64) -> u32 {
        let all = self.size.pod_security_policies;
        let most = if random.is_multiple_of(2) { all.min(8) } else { all };
        // Never the first, which allows everything.
        1 + below(random, most - 1)
    }

    /// RoleBindings, and ClusterRoleBindings, one in twenty.
    pub fn bindings(&self) -> impl Iterator<Item = Value> + '_ {
        (0..self.size.bindings).map(|number| match number {
            // Within their namespaces alone: the controllers that create everybody's pods are of `kube-system`.
            SYSTEM | MONITORING => {
                let namespace = namespace_name(number);
                binding(number, Some(&namespace), 0, &group(&format!("system:serviceaccounts:{namespace}")))
            }
            _ => self.binding(number),
        })
    }

    fn binding(&self, number: u32) -> Value {
        let random = self.random(Topic::Grant, u64::from(number));
        let policy = self.granted(random);
        let users = self.size.namespaces - FIRST;
        let (namespace, layer) = (FIRST + number % users, number / users);
        if number % 20 == 19 {
            let team = below(next(random, 1), TEAMS);
            return binding(number, None, policy, &group(&format!("team-t{team}")));
        }
        let subject = match layer % 3 {
            0 => group(&format!("system:serviceaccounts:{}", namespace_name(namespace))),
            1 => {
                let application = below(next(random, 1), self.applications(namespace));
                let name = self.account(Application { namespace, number: application });
                json!({"kind": "ServiceAccount", "name": name, "namespace": namespace_name(namespace)})
            }
            _ => {
                let name = user_name(self.team(namespace), below(next(random, 1), USERS));
                json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name})
            }
        };
        binding(number, Some(&namespace_name(namespace)), policy, &subject)
    }

    /// Who creates a pod: mostly the controller of its kind, else somebody of the team.
    pub(crate) fn creator(&self, application: Application, random: u64) -> Value {
        let person = application.namespace >= FIRST && below(random, 8) == 0;
        if person {
            let team = self.team(application.namespace);
            return json!({
                "username": user_name(team, below(next(random, 1), USERS)),
                "groups": [format!("team-t{team}"), "developers", "system:authenticated"],
            });
        }
        let controller = match application.owner() {
            crate::workload::Owner::Deployment => "replicaset-controller",
            crate::workload::Owner::StatefulSet => "statefulset-controller",
            crate::workload::Owner::DaemonSet => "daemon-set-controller",
        };
        json!({
            "username": format!("system:serviceaccount:kube-system:{controller}"),
            "uid": "7d8a2f40-93c3-4a1e-8b1c-3f0f5b8f3c11",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
        })
    }
}

fn user_name(team: u32, number: u32) -> String {
    format!("user-{number}@t{team}.example")
}

fn group(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name})
}

fn binding(number: u32, namespace: Option<&str>, policy: u32, subject: &Value) -> Value {
    let kind = if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" };
    let mut object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
        "metadata": {"name": format!("grant-{number}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role_name(policy)},
        "subjects": [subject],
    });
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}
