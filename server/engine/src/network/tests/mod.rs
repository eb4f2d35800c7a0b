//! Flows are asked of an [`Index`] that objects were fed into, as the snapshot does.

mod ends;
mod properties;
mod rules;
mod slow;

use std::net::IpAddr;

use super::{End, FlowDecision, FlowError, FlowRequest, Index, Leg, LegReason, NodePod, NodeVersion};
use crate::object::{
    Change, ContainerPort, IpBlock, Kind, LabelSelector, Labels, NetworkPolicy, Object, ObjectKey,
    ObjectMeta, Operator, Peer, Pod, PolicyPort, PortMatch, Protocol, Requirement, Rule, Workload,
};

/// `a=1,b=2`
fn labels(text: &str) -> Labels {
    text.split(',')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// `a=1,b=2`
fn select(text: &str) -> LabelSelector {
    LabelSelector { match_labels: labels(text), match_expressions: Vec::new() }
}

fn expression(key: &str, operator: Operator, values: &[&str]) -> LabelSelector {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    let requirement = Requirement { key: key.to_owned(), operator, values };
    LabelSelector { match_labels: Labels::new(), match_expressions: vec![requirement] }
}

/// `name` is `namespace/pod`.
fn pod(name: &str, with: &str, addresses: &[&str]) -> Pod {
    let (namespace, name) = name.split_once('/').unwrap();
    Pod {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        labels: labels(with),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        ..Pod::default()
    }
}

fn port(name: &str, protocol: Protocol, port: u16) -> ContainerPort {
    ContainerPort { name: name.to_owned(), protocol, port }
}

/// A policy that isolates the pods it selects for ingress, with no rules.
fn policy(name: &str, pod_selector: LabelSelector) -> NetworkPolicy {
    let (namespace, name) = name.split_once('/').unwrap();
    NetworkPolicy {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        pod_selector,
        isolates_ingress: true,
        isolates_egress: false,
        ingress: Vec::new(),
        egress: Vec::new(),
    }
}

fn ingress(name: &str, pods: &str, rules: Vec<Rule>) -> NetworkPolicy {
    NetworkPolicy { ingress: rules, ..policy(name, select(pods)) }
}

fn egress(name: &str, pods: &str, rules: Vec<Rule>) -> NetworkPolicy {
    NetworkPolicy {
        isolates_ingress: false,
        isolates_egress: true,
        egress: rules,
        ..policy(name, select(pods))
    }
}

fn rule(peers: Vec<Peer>, ports: Vec<PolicyPort>) -> Rule {
    Rule { peers, ports }
}

fn pods(namespaces: Option<&str>, pods: Option<&str>) -> Peer {
    Peer::Pods { namespace_selector: namespaces.map(select), pod_selector: pods.map(select) }
}

fn block(cidr: &str, except: &[&str]) -> Peer {
    let except = except.iter().map(|cidr| cidr.parse().unwrap()).collect();
    Peer::IpBlock(IpBlock { cidr: cidr.parse().unwrap(), except })
}

fn on(protocol: Protocol, port: PortMatch) -> PolicyPort {
    PolicyPort { protocol, port }
}

fn tcp(port: u16) -> PolicyPort {
    on(Protocol::Tcp, PortMatch::Range(port, port))
}

fn namespace(name: &str, with: &str) -> Object {
    Object::Namespace(ObjectMeta { name: name.to_owned(), labels: labels(with), ..ObjectMeta::default() })
}

fn workload(kind: Kind, name: &str, with: &str) -> Workload {
    Workload { kind, pod: pod(name, with, &[]) }
}

fn key(kind: Kind, name: &str) -> ObjectKey {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    ObjectKey { kind, namespace: namespace.into(), name: name.into() }
}

impl From<Pod> for Object {
    fn from(pod: Pod) -> Self {
        Object::Pod(pod)
    }
}

impl From<NetworkPolicy> for Object {
    fn from(policy: NetworkPolicy) -> Self {
        Object::NetworkPolicy(policy)
    }
}

impl From<Workload> for Object {
    fn from(workload: Workload) -> Self {
        Object::Workload(workload)
    }
}

fn index(objects: impl IntoIterator<Item = Object>) -> Index {
    let mut index = Index::default();
    for object in objects {
        index.apply(&Change::Upsert(object));
    }
    index
}

/// `10.0.0.1`, `namespace/pod` or `namespace/Kind/name`.
fn end(text: &str) -> End<'_> {
    if let Ok(address) = text.parse() {
        return End::Ip(address);
    }
    match text.split('/').collect::<Vec<_>>()[..] {
        [namespace, name] => End::Pod { namespace, name, ip: None },
        [namespace, kind, name] => End::Workload { namespace, kind, name },
        _ => panic!("{text} is no end"),
    }
}

fn request<'a>(source: &'a str, destination: &'a str, port: u16) -> FlowRequest<'a> {
    FlowRequest { source: end(source), destination: end(destination), protocol: Protocol::Tcp, port }
}

fn ask<'i>(index: &'i Index, source: &str, destination: &str, port: u16) -> FlowDecision<'i> {
    index.check_flow(&request(source, destination, port)).unwrap()
}

fn refusal(index: &Index, source: &str, destination: &str) -> FlowError {
    index.check_flow(&request(source, destination, 80)).unwrap_err()
}

fn isolating<'l>(leg: &'l Leg<'_>) -> Vec<&'l str> {
    leg.isolating().iter().map(|policy| &*policy.name).collect()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
