//! `networking.k8s.io/v1 NetworkPolicy`, defaulted and with its addresses and ports read.

use std::fmt;

use ipnet::IpNet;

use super::LabelSelector;

/// A NetworkPolicy. Defaults of the API are filled in: policy types, and TCP for ports without protocol.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct NetworkPolicy {
    /// The namespace whose pods it selects.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The pods it isolates.
    pub pod_selector: LabelSelector,
    /// Whether it isolates them for ingress (`policyTypes`, defaulted).
    pub isolates_ingress: bool,
    /// Whether it isolates them for egress (`policyTypes`, defaulted).
    pub isolates_egress: bool,
    /// What may come in.
    pub ingress: Vec<Rule>,
    /// What may go out.
    pub egress: Vec<Rule>,
}

/// One ingress or egress rule: traffic that matches one of the peers and one of the ports.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub struct Rule {
    /// `from` or `to`; empty means anybody.
    pub peers: Vec<Peer>,
    /// Empty means every port of every protocol.
    pub ports: Vec<PolicyPort>,
}

/// `NetworkPolicyPeer`.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Peer {
    /// Pods by their labels and those of their namespace.
    Pods {
        /// Unset: the policy's own namespace.
        namespace_selector: Option<LabelSelector>,
        /// Unset: every pod of those namespaces.
        pod_selector: Option<LabelSelector>,
    },
    /// Addresses, those of pods included.
    IpBlock(IpBlock),
}

/// Addresses in `cidr` that are in none of `except`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IpBlock {
    /// Canonical: host bits cleared; IPv4-mapped IPv6 read as IPv4.
    pub cidr: IpNet,
    /// Each within `cidr`.
    pub except: Vec<IpNet>,
}

/// `NetworkPolicyPort`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PolicyPort {
    /// Defaulted to TCP.
    pub protocol: Protocol,
    /// Which ports of that protocol.
    pub port: PortMatch,
}

/// Which ports a [`PolicyPort`] matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PortMatch {
    /// Every port of the protocol.
    All,
    /// From the first to the second, inclusive (`port` to `endPort`; equal for a single port).
    Range(u16, u16),
    /// The destination pod's container port of this name.
    Name(String),
}

/// Protocols that have ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// The default everywhere.
    #[default]
    Tcp,
    /// User Datagram Protocol.
    Udp,
    /// Stream Control Transmission Protocol.
    Sctp,
}

impl Protocol {
    /// As written in manifests; case matters there.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "TCP" => Some(Protocol::Tcp),
            "UDP" => Some(Protocol::Udp),
            "SCTP" => Some(Protocol::Sctp),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        })
    }
}
