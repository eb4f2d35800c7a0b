//! Flows between pods under NetworkPolicy.

use std::net::IpAddr;
use std::sync::Arc;

use crate::object::{Change, Labels, Protocol};
use crate::snapshot::Diagnostic;

/// One end of a connection, as asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum End<'a> {
    /// An address, that of a pod or any other.
    Ip(IpAddr),
    /// A pod by name.
    Pod {
        /// Its namespace.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
        /// Which of its addresses; unset: the first of a family that both ends have.
        ip: Option<IpAddr>,
    },
    /// The pods of a workload.
    Workload {
        /// Its namespace.
        namespace: &'a str,
        /// Its kind, as in a manifest.
        kind: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// A pod that does not exist yet.
    Labels {
        /// Its namespace.
        namespace: &'a str,
        /// Its labels.
        labels: &'a Labels,
    },
}

/// The question: may `source` open a connection to `port` of `destination`?
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRequest<'a> {
    /// Who opens the connection.
    pub source: End<'a>,
    /// Who is called.
    pub destination: End<'a>,
    /// Over what.
    pub protocol: Protocol,
    /// Destination port, from 1.
    pub port: u16,
}

/// Why a flow question cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{end}: {message}")]
pub struct FlowError {
    /// `source`, `destination` or `port`, with the field inside where there is one: `source.pod`.
    pub end: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// The answer to a flow question. Borrows from the snapshot; making one allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct FlowDecision<'s> {
    /// The source's egress.
    pub egress: Leg<'s>,
    /// The destination's ingress.
    pub ingress: Leg<'s>,
    /// An end is a pod whose address nobody knows, so that no ipBlock could match it.
    pub unknown_address: bool,
}

impl FlowDecision<'_> {
    /// Whether both legs allow.
    pub fn allowed(&self) -> bool {
        self.egress.allowed && self.ingress.allowed
    }
}

/// What one end's policies say.
#[derive(Clone, Copy, Debug)]
pub struct Leg<'s> {
    /// Whether this leg lets the flow pass.
    pub allowed: bool,
    /// Why.
    pub reason: LegReason,
    /// The policies that isolate this end in this direction; empty: not isolated.
    pub isolating: &'s [Arc<CompiledPolicy>],
    /// The rule that allowed it: index into `isolating`, and index of the rule in its policy.
    pub allowed_by: Option<(usize, usize)>,
}

/// Why a leg is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegReason {
    /// No policy selects this end for this direction.
    NotIsolated,
    /// A rule allows it.
    Rule,
    /// Isolated, and no rule allows it.
    NoRule,
    /// The end is no pod: policies hold nobody but pods.
    NotAPod,
    /// The pod shares its node's network: policies do not hold it.
    HostNetwork,
    /// A pod always reaches itself.
    SelfTraffic,
}

/// How far one rule of an isolating policy matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTrace {
    /// Index into [`Leg::isolating`].
    pub policy: usize,
    /// Index of the rule in `spec.ingress` or `spec.egress`.
    pub rule: usize,
    /// Whether the other end is one of the rule's peers.
    pub peer_matched: bool,
    /// Whether protocol and port are among the rule's.
    pub port_matched: bool,
}

/// A NetworkPolicy, compiled against identities.
#[derive(Debug)]
pub struct CompiledPolicy {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// The network's part of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Index {}

impl Index {
    /// Folds one change in; changes of other kinds are ignored.
    pub(crate) fn apply(&mut self, _change: &Change) -> Vec<Diagnostic> {
        Vec::new()
    }

    /// Decides one flow.
    ///
    /// # Errors
    /// When an end does not exist, or does not stand for one answer: see [`FlowError`].
    pub fn check_flow(&self, _request: &FlowRequest<'_>) -> Result<FlowDecision<'_>, FlowError> {
        Err(FlowError { end: "source".into(), message: "not built yet".into() })
    }

    /// Every rule that [`Index::check_flow`] looks at for this request, egress and ingress: the same evaluation,
    /// without stopping at the first rule that allows.
    ///
    /// # Errors
    /// As [`Index::check_flow`].
    pub fn trace_flow(
        &self,
        _request: &FlowRequest<'_>,
    ) -> Result<(Vec<RuleTrace>, Vec<RuleTrace>), FlowError> {
        Err(FlowError { end: "source".into(), message: "not built yet".into() })
    }
}
