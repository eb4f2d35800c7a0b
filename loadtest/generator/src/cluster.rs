//! Which namespaces there are, and which pods are whose.

use serde_json::{Value, json};

use crate::random::{Topic, below, random};
use crate::{Size, SizeError};

/// Teams that namespaces belong to.
pub(crate) const TEAMS: u32 = 17;
/// `kube-system`.
pub(crate) const SYSTEM: u32 = 0;
/// `monitoring`.
pub(crate) const MONITORING: u32 = 1;
/// The first namespace of users.
pub(crate) const FIRST: u32 = 2;
/// Pods of each of the two.
const SYSTEM_PODS: u32 = 2;

/// A cluster: everything about it follows from its size.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub(crate) size: Size,
    /// The first pod of each namespace, and the number of all at the end.
    first_pods: Vec<u32>,
}

impl Cluster {
    /// A cluster of this size.
    ///
    /// # Errors
    /// When it is too small or too large, says what.
    pub fn new(size: Size) -> Result<Self, SizeError> {
        size.check()?;
        let users = size.namespaces - FIRST;
        // The rest is handed out by weight, after everybody got one pod.
        let system = if size.pods >= 2 * SYSTEM_PODS + users { SYSTEM_PODS } else { 1 };
        let rest = u64::from(size.pods.saturating_sub(2 * system + users));
        let weights: Vec<u64> = (0..users).map(|number| weight(size.seed, number)).collect();
        let all: u64 = weights.iter().sum();
        let mut first_pods = vec![0, system, 2 * system];
        let mut before = 0;
        for (number, weight) in (1..).zip(&weights) {
            before += weight;
            let end = u64::from(2 * system + number) + rest * before / all.max(1);
            first_pods.push(u32::try_from(end).unwrap_or(size.pods).min(size.pods));
        }
        Ok(Self { size, first_pods })
    }

    /// Its size.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Every object: namespaces, service accounts, workloads, pods, policies, grants.
    pub fn objects(&self) -> impl Iterator<Item = Value> + '_ {
        let namespaces = (0..self.size.namespaces).map(|number| self.namespace_object(number));
        namespaces
            .chain(self.workload_objects())
            .chain(self.pods())
            .chain(self.network_policies())
            .chain(self.pod_security_objects())
            .chain(self.bindings())
    }

    /// The pods as an API server tells them, running.
    pub fn pods(&self) -> impl Iterator<Item = Value> + '_ {
        (0..self.size.namespaces).flat_map(move |namespace| {
            self.pods_of(namespace).map(move |pod| self.pod_object(namespace, pod))
        })
    }

    /// Pods of a namespace, by number.
    pub(crate) fn pods_of(&self, namespace: u32) -> std::ops::Range<u32> {
        let index = namespace as usize;
        self.first_pods[index]..self.first_pods[index + 1]
    }

    /// The namespace of a pod.
    pub(crate) fn namespace_of(&self, pod: u32) -> u32 {
        let index = self.first_pods.partition_point(|first| *first <= pod);
        u32::try_from(index.saturating_sub(1)).unwrap_or(0).min(self.size.namespaces - 1)
    }

    pub(crate) fn random(&self, topic: Topic, number: u64) -> u64 {
        random(self.size.seed, topic, number)
    }

    pub(crate) fn team(&self, namespace: u32) -> u32 {
        below(self.random(Topic::Team, u64::from(namespace)), TEAMS)
    }

    fn namespace_object(&self, number: u32) -> Value {
        let name = namespace_name(number);
        let mut labels = json!({"kubernetes.io/metadata.name": name});
        if number >= FIRST {
            labels["team"] = format!("t{}", self.team(number)).into();
            labels["env"] = if number.is_multiple_of(3) { "prod" } else { "dev" }.into();
        }
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        })
    }
}

/// One namespace in ten is ten times as large as most, one in a hundred forty times.
fn weight(seed: u64, number: u32) -> u64 {
    let random = random(seed, Topic::Size, u64::from(number));
    let base = 10 + u64::from(below(random, 10));
    match number {
        _ if number % 100 == 7 => base * 40,
        _ if number % 10 == 3 => base * 10,
        _ => base,
    }
}

pub(crate) fn namespace_name(number: u32) -> String {
    match number {
        SYSTEM => "kube-system".to_owned(),
        MONITORING => "monitoring".to_owned(),
        _ => format!("team-{}", number - FIRST),
    }
}
