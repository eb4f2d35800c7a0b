//! Flows that are asked of others, too, and the cluster as these want it: with ends resolved, and selectors compiled.
//!
//! Left out are questions about which the others decide otherwise by design. cyclonus knows neither host-network pods,
//! which no NetworkPolicy holds in Kubernetes, nor that a pod always reaches itself: its `InternalPeer` has labels and a
//! namespace, and no identity (`pkg/matcher/traffic.go` of v0.5.6).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anyhow::{Context as _, ensure};
use gavel_engine::network::{End, FlowRequest};
use gavel_engine::object::Protocol;
use gavel_generator::Cluster;
use gavel_proto::v1;
use serde::Serialize;
use serde_json::{Value, json};

use super::selectors;

type Labels = BTreeMap<String, String>;

/// A question about two addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Flow {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// TCP, UDP or SCTP.
    protocol: &'static str,
    port: u16,
}

/// What is known of a pod.
#[derive(Debug)]
struct Pod {
    namespace: String,
    labels: Labels,
    /// By name and protocol.
    ports: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Questions, and the cluster that they are about.
#[derive(Debug)]
pub(super) struct Flows {
    pub(super) flows: Vec<Flow>,
    pods: BTreeMap<IpAddr, Pod>,
    namespaces: BTreeMap<String, Labels>,
    policies: Vec<Value>,
}

impl Flows {
    /// So many questions about the cluster.
    ///
    /// # Errors
    /// When the cluster's objects are not as they should be, or have too few questions.
    pub(super) fn new(cluster: &Cluster, count: usize) -> anyhow::Result<Self> {
        let mut all = Self {
            flows: Vec::new(),
            pods: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            policies: Vec::new(),
        };
        let mut addresses = BTreeMap::new();
        let mut of_hosts = BTreeSet::new();
        for object in cluster.objects() {
            let metadata = &object["metadata"];
            let name = text(metadata, "name")?;
            match object["kind"].as_str() {
                Some("Namespace") => drop(all.namespaces.insert(name, labels(metadata)?)),
                Some("NetworkPolicy") => all.policies.push(object),
                Some("Pod") => {
                    let namespace = text(metadata, "namespace")?;
                    let address: IpAddr = text(&object["status"], "podIP")?.parse()?;
                    if object["spec"]["hostNetwork"] == true {
                        of_hosts.insert(address);
                        continue;
                    }
                    addresses.insert((namespace.clone(), name), address);
                    let pod = Pod { namespace, labels: labels(metadata)?, ports: ports(&object["spec"]) };
                    all.pods.insert(address, pod);
                }
                _ => {}
            }
        }
        for question in cluster.flows().take(count.saturating_mul(4)) {
            let question: v1::CheckFlowRequest = serde_json::from_value(question)?;
            let address = |end: Option<&v1::End>| -> anyhow::Result<Option<IpAddr>> {
                Ok(match end.and_then(|end| end.end.as_ref()) {
                    Some(v1::end::End::Ip(ip)) => Some(ip.parse()?),
                    // None of a pod on its host's network.
                    Some(v1::end::End::Pod(pod)) => {
                        addresses.get(&(pod.namespace.clone(), pod.name.clone())).copied()
                    }
                    end => anyhow::bail!("an end that the generator did not have: {end:?}"),
                })
            };
            let ends = address(question.source.as_ref())?.zip(address(question.destination.as_ref())?);
            let Some((source, destination)) = ends else { continue };
            if of_hosts.contains(&source) || of_hosts.contains(&destination) || source == destination {
                continue;
            }
            let protocol = match question.protocol() {
                v1::Protocol::Unspecified | v1::Protocol::Tcp => "TCP",
                v1::Protocol::Udp => "UDP",
                v1::Protocol::Sctp => "SCTP",
            };
            all.flows.push(Flow { source, destination, protocol, port: u16::try_from(question.port)? });
            if all.flows.len() == count {
                return Ok(all);
            }
        }
        anyhow::bail!("the cluster has too few questions that all can answer")
    }

    /// As cyclonus' program wants them: ends with labels, and the name of the port that is asked for.
    pub(super) fn for_cyclonus(&self) -> Value {
        let end = |address: &IpAddr| match self.pods.get(address) {
            None => json!({"ip": address}),
            Some(pod) => json!({
                "ip": address, "namespace": pod.namespace, "labels": pod.labels,
                "namespaceLabels": self.namespaces.get(&pod.namespace),
            }),
        };
        let flows: Vec<Value> = self
            .flows
            .iter()
            .map(|flow| {
                json!({
                    "source": end(&flow.source), "destination": end(&flow.destination),
                    "port": flow.port, "portName": self.port_name(flow), "protocol": flow.protocol,
                })
            })
            .collect();
        json!({"policies": self.policies, "flows": flows})
    }

    fn port_name(&self, flow: &Flow) -> &str {
        let ports = self.pods.get(&flow.destination).into_iter().flat_map(|pod| &pod.ports);
        let mut named = ports.filter(|(_, numbers)| numbers.get(flow.protocol) == Some(&flow.port.into()));
        named.next().map_or("", |(name, _)| name)
    }

    /// `data` of `peers/opa/flows.rego`.
    ///
    /// # Errors
    /// When a policy's selector has an operator that Kubernetes has not.
    pub(super) fn for_opa(&self) -> anyhow::Result<Value> {
        let mut policies = serde_json::Map::new();
        let mut subjects: BTreeMap<&str, Vec<(String, &Value)>> = BTreeMap::new();
        for policy in &self.policies {
            let metadata = &policy["metadata"];
            let namespace = metadata["namespace"].as_str().context("a policy without a namespace")?;
            let name = format!("{namespace}/{}", text(metadata, "name")?);
            let spec = &policy["spec"];
            let compiled = json!({
                "namespace": namespace,
                "ingress": rules(&spec["ingress"], "from")?, "egress": rules(&spec["egress"], "to")?,
            });
            subjects.entry(namespace).or_default().push((name.clone(), spec));
            policies.insert(name, compiled);
        }
        let mut pods = serde_json::Map::new();
        for (address, pod) in &self.pods {
            let mut entry = json!({"namespace": pod.namespace, "labels": pod.labels, "ports": pod.ports, "ingress": [], "egress": []});
            for (name, spec) in subjects.get(pod.namespace.as_str()).into_iter().flatten() {
                if selectors::matches(&spec["podSelector"], &pod.labels)? {
                    for direction in ["ingress", "egress"] {
                        if isolates(spec, direction)
                            && let Some(names) = entry[direction].as_array_mut()
                        {
                            names.push(name.as_str().into());
                        }
                    }
                }
            }
            pods.insert(address.to_string(), entry);
        }
        Ok(json!({"pods": pods, "namespaces": self.namespaces, "policies": policies}))
    }

    /// As the engine is asked.
    pub(super) fn for_engine(&self) -> Vec<FlowRequest<'static>> {
        let requests = self.flows.iter().map(|flow| FlowRequest {
            source: End::Ip(flow.source),
            destination: End::Ip(flow.destination),
            protocol: match flow.protocol {
                "UDP" => Protocol::Udp,
                "SCTP" => Protocol::Sctp,
                _ => Protocol::Tcp,
            },
            port: flow.port,
        });
        requests.collect()
    }
}

impl Flow {
    /// As a server is asked.
    pub(super) fn request(&self) -> v1::CheckFlowRequest {
        let end = |address: IpAddr| Some(v1::End { end: Some(v1::end::End::Ip(address.to_string())) });
        let protocol = match self.protocol {
            "UDP" => v1::Protocol::Udp,
            "SCTP" => v1::Protocol::Sctp,
            _ => v1::Protocol::Tcp,
        };
        v1::CheckFlowRequest {
            source: end(self.source),
            destination: end(self.destination),
            protocol: protocol.into(),
            port: self.port.into(),
            ..Default::default()
        }
    }
}

/// As an API server fills it in: ingress, and egress if there are rules for it.
fn isolates(spec: &Value, direction: &str) -> bool {
    match spec["policyTypes"].as_array() {
        Some(types) if !types.is_empty() => {
            types.iter().any(|one| one.as_str().is_some_and(|one| one.eq_ignore_ascii_case(direction)))
        }
        _ => direction == "ingress" || spec["egress"].as_array().is_some_and(|rules| !rules.is_empty()),
    }
}

fn rules(rules: &Value, peers: &str) -> anyhow::Result<Vec<Value>> {
    let rules = rules.as_array().map(Vec::as_slice).unwrap_or_default();
    rules
        .iter()
        .map(|rule| {
            let mut compiled = json!({});
            if let Some(peers) = rule[peers].as_array().filter(|peers| !peers.is_empty()) {
                compiled["peers"] = peers.iter().map(peer).collect::<anyhow::Result<Vec<_>>>()?.into();
            }
            if let Some(ports) = rule["ports"].as_array().filter(|ports| !ports.is_empty()) {
                let with_protocol = ports.iter().map(|port| {
                    let mut port = port.clone();
                    if port["protocol"].is_null() {
                        port["protocol"] = "TCP".into();
                    }
                    port
                });
                compiled["ports"] = with_protocol.collect::<Vec<_>>().into();
            }
            Ok(compiled)
        })
        .collect()
}

fn peer(peer: &Value) -> anyhow::Result<Value> {
    let block = &peer["ipBlock"];
    if !block.is_null() {
        let except = if block["except"].is_null() { json!([]) } else { block["except"].clone() };
        return Ok(json!({"cidr": block["cidr"], "except": except}));
    }
    let mut compiled = json!({"pods": selectors::compile(&peer["podSelector"])?});
    if !peer["namespaceSelector"].is_null() {
        compiled["namespaces"] = selectors::compile(&peer["namespaceSelector"])?;
    }
    Ok(compiled)
}

fn text(object: &Value, field: &str) -> anyhow::Result<String> {
    Ok(object[field].as_str().with_context(|| format!("an object without {field}"))?.to_owned())
}

fn labels(metadata: &Value) -> anyhow::Result<Labels> {
    let labels = &metadata["labels"];
    ensure!(labels.is_null() || labels.is_object(), "labels that are none: {labels}");
    Ok(if labels.is_null() { Labels::new() } else { serde_json::from_value(labels.clone())? })
}

fn ports(spec: &Value) -> BTreeMap<String, BTreeMap<String, u64>> {
    let containers = spec["containers"].as_array().into_iter().flatten();
    let mut named: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for port in containers.flat_map(|container| container["ports"].as_array().into_iter().flatten()) {
        if let (Some(name), Some(number)) = (port["name"].as_str(), port["containerPort"].as_u64()) {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            named.entry(name.to_owned()).or_default().insert(protocol.to_owned(), number);
        }
    }
    named
}
