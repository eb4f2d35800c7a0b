//! `networking.k8s.io/v1 NetworkPolicy`: read, defaulted and validated.
//!
//! From `pkg/apis/networking/validation/validation.go` (`ValidateNetworkPolicySpec`) and
//! `pkg/apis/networking/v1/defaults.go` of Kubernetes.

use ipnet::IpNet;
use serde::Deserialize;

use super::ports::{self, IntOrString};
use crate::object::meta::{nullable, nullable_list, nullable_object, nullable_objects, optional_object};
use crate::object::validate::{Errors, selector};
use crate::object::{
    IpBlock, LabelSelector, NetworkPolicy, ObjectMeta, Peer, PolicyPort, PortMatch, Rule, ip, validate,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Written {
    #[serde(deserialize_with = "nullable_object")]
    pub(super) metadata: ObjectMeta,
    #[serde(deserialize_with = "nullable_object")]
    pub(super) spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    #[serde(deserialize_with = "nullable_object")]
    pod_selector: LabelSelector,
    #[serde(deserialize_with = "nullable_list")]
    policy_types: Vec<String>,
    #[serde(deserialize_with = "nullable_objects")]
    ingress: Vec<IngressRule>,
    #[serde(deserialize_with = "nullable_objects")]
    egress: Vec<EgressRule>,
}

// Two types: `from` in an egress rule is a mistake.
#[derive(Default, Deserialize)]
#[serde(default)]
struct IngressRule {
    #[serde(deserialize_with = "nullable_objects")]
    from: Vec<WrittenPeer>,
    #[serde(deserialize_with = "nullable_objects")]
    ports: Vec<WrittenPort>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EgressRule {
    #[serde(deserialize_with = "nullable_objects")]
    to: Vec<WrittenPeer>,
    #[serde(deserialize_with = "nullable_objects")]
    ports: Vec<WrittenPort>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WrittenPeer {
    #[serde(deserialize_with = "optional_object")]
    pod_selector: Option<LabelSelector>,
    #[serde(deserialize_with = "optional_object")]
    namespace_selector: Option<LabelSelector>,
    #[serde(deserialize_with = "optional_object")]
    ip_block: Option<WrittenIpBlock>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WrittenIpBlock {
    #[serde(deserialize_with = "nullable")]
    cidr: String,
    #[serde(deserialize_with = "nullable_list")]
    except: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WrittenPort {
    protocol: Option<String>,
    port: Option<IntOrString>,
    end_port: Option<i32>,
}

/// The policy that was written. Not to be used when there are errors: rules may be missing from it.
pub(super) fn read(metadata: ObjectMeta, spec: Spec, errors: &mut Errors) -> NetworkPolicy {
    selector::validate(&spec.pod_selector, "spec.podSelector", errors);
    let mut ingress = Vec::with_capacity(spec.ingress.len());
    for (index, rule) in spec.ingress.into_iter().enumerate() {
        let path = format!("spec.ingress[{index}]");
        ingress.push(read_rule(rule.from, rule.ports, &path, "from", errors));
    }
    let mut egress = Vec::with_capacity(spec.egress.len());
    for (index, rule) in spec.egress.into_iter().enumerate() {
        let path = format!("spec.egress[{index}]");
        egress.push(read_rule(rule.to, rule.ports, &path, "to", errors));
    }
    let (isolates_ingress, isolates_egress) = policy_types(&spec.policy_types, !egress.is_empty(), errors);
    NetworkPolicy {
        namespace: metadata.namespace,
        name: metadata.name,
        pod_selector: spec.pod_selector,
        isolates_ingress,
        isolates_egress,
        ingress,
        egress,
    }
}

/// `SetDefaults_NetworkPolicy`: without types ingress is meant, and egress where there are rules for it.
fn policy_types(types: &[String], has_egress: bool, errors: &mut Errors) -> (bool, bool) {
    if types.is_empty() {
        return (true, has_egress);
    }
    if types.len() > 2 {
        errors.push("spec.policyTypes", "may not specify more than two policyTypes");
    }
    for (index, policy_type) in types.iter().enumerate() {
        if policy_type != "Ingress" && policy_type != "Egress" {
            errors.unsupported(
                format_args!("spec.policyTypes[{index}]"),
                policy_type,
                &["Ingress", "Egress"],
            );
        }
    }
    let has = |wanted: &str| types.iter().any(|policy_type| policy_type == wanted);
    (has("Ingress"), has("Egress"))
}

fn read_rule(
    peers: Vec<WrittenPeer>,
    ports: Vec<WrittenPort>,
    path: &str,
    peers_field: &str,
    errors: &mut Errors,
) -> Rule {
    let mut rule = Rule::default();
    for (index, port) in ports.into_iter().enumerate() {
        rule.ports.extend(read_port(port, &format!("{path}.ports[{index}]"), errors));
    }
    for (index, peer) in peers.into_iter().enumerate() {
        rule.peers.extend(read_peer(peer, &format!("{path}.{peers_field}[{index}]"), errors));
    }
    rule
}

/// `ValidateNetworkPolicyPort`. `None` only along with an error.
fn read_port(written: WrittenPort, path: &str, errors: &mut Errors) -> Option<PolicyPort> {
    let protocol = ports::protocol(written.protocol.as_deref(), path, errors);
    let end = written.end_port;
    let port = match written.port {
        None => {
            if let Some(end) = end {
                errors.push(
                    format_args!("{path}.endPort"),
                    format!("{end} may not be specified when `port` is not specified"),
                );
            }
            Some(PortMatch::All)
        }
        Some(IntOrString::String(name)) => {
            if let Some(end) = end {
                errors.push(
                    format_args!("{path}.endPort"),
                    format!("{end} may not be specified when `port` is non-numeric"),
                );
            }
            if let Some(complaint) = validate::names::port_name(&name) {
                errors.invalid(format_args!("{path}.port"), &name, complaint);
            }
            Some(PortMatch::Name(name))
        }
        Some(IntOrString::Int(number)) => {
            let first = ports::number(number, format_args!("{path}.port"), errors);
            let last = match end {
                None => first,
                Some(end) => {
                    if end < number {
                        errors.push(
                            format_args!("{path}.endPort"),
                            format!("{end} must be greater than or equal to `port` ({number})"),
                        );
                    }
                    ports::number(end, format_args!("{path}.endPort"), errors)
                }
            };
            first.zip(last).map(|(first, last)| PortMatch::Range(first, last))
        }
    };
    Some(PolicyPort { protocol: protocol?, port: port? })
}

/// `ValidateNetworkPolicyPeer`. `None` only along with an error.
fn read_peer(written: WrittenPeer, path: &str, errors: &mut Errors) -> Option<Peer> {
    let WrittenPeer { pod_selector, namespace_selector, ip_block } = written;
    if let Some(pods) = &pod_selector {
        selector::validate(pods, format_args!("{path}.podSelector"), errors);
    }
    if let Some(namespaces) = &namespace_selector {
        selector::validate(namespaces, format_args!("{path}.namespaceSelector"), errors);
    }
    let has_selector = pod_selector.is_some() || namespace_selector.is_some();
    match ip_block {
        Some(block) => {
            if has_selector {
                errors.push(path, "may not specify both ipBlock and another peer");
            }
            read_ip_block(&block, path, errors).map(Peer::IpBlock)
        }
        None if has_selector => Some(Peer::Pods { namespace_selector, pod_selector }),
        None => {
            errors.push(path, "must specify a peer: podSelector, namespaceSelector or ipBlock");
            None
        }
    }
}

/// `ValidateIPBlock`. `None` only along with an error.
fn read_ip_block(written: &WrittenIpBlock, path: &str, errors: &mut Errors) -> Option<IpBlock> {
    if written.cidr.is_empty() {
        errors.push(format_args!("{path}.ipBlock.cidr"), "is required");
        return None;
    }
    let mut read = |text: &str, path: String| {
        let cidr = ip::parse_cidr(text);
        if cidr.is_none() {
            errors.push(path, format!("{text:?} is not a CIDR, such as 10.0.0.0/8 or fd00::/8"));
        }
        cidr
    };
    let cidr = read(&written.cidr, format!("{path}.ipBlock.cidr"));
    let mut except = Vec::with_capacity(written.except.len());
    for (index, text) in written.except.iter().enumerate() {
        except.push((index, text, read(text, format!("{path}.ipBlock.except[{index}]"))));
    }
    let cidr = cidr?;
    for (index, text, hole) in &except {
        // The prefixes as written are compared, of IPv4-mapped networks too.
        if hole
            .is_some_and(|hole| !contains(&cidr.net, &hole.net) || cidr.written_prefix >= hole.written_prefix)
        {
            errors.push(
                format_args!("{path}.ipBlock.except[{index}]"),
                format!("{text:?} must be a strict subset of `cidr` ({})", written.cidr),
            );
        }
    }
    let except = except.into_iter().map(|(_, _, hole)| hole.map(|hole| hole.net)).collect::<Option<_>>()?;
    Some(IpBlock { cidr: cidr.net, except })
}

/// `net.IPNet.Contains` of the network's first address.
fn contains(cidr: &IpNet, hole: &IpNet) -> bool {
    cidr.contains(&hole.network())
}
