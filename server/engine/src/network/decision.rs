//! The answer to a flow question.

use std::borrow::Cow;
use std::sync::Arc;

use super::policy::CompiledPolicy;

/// The answer to a flow question. Borrows from the snapshot: making one allocates nothing, unless it was asked about a
/// pod that does not exist yet, or about workloads.
#[derive(Clone, Debug)]
pub struct FlowDecision<'s> {
    /// The source's egress.
    pub egress: Leg<'s>,
    /// The destination's ingress.
    pub ingress: Leg<'s>,
    /// An end is a pod whose address nobody knows, and a rule that was looked at has an ipBlock that could not match
    /// for that reason.
    pub unknown_address: bool,
}

impl FlowDecision<'_> {
    /// Whether both legs allow.
    pub fn allowed(&self) -> bool {
        self.egress.allowed && self.ingress.allowed
    }
}

/// What one end's policies say.
#[derive(Clone, Debug)]
pub struct Leg<'s> {
    /// Whether this leg lets the flow pass.
    pub allowed: bool,
    /// Why.
    pub reason: LegReason,
    /// The policies that isolate this end in this direction, in order of their names; empty: not isolated.
    pub isolating: Cow<'s, [Arc<CompiledPolicy>]>,
    /// The first rule that allows it: index into `isolating`, and index of the rule in its policy.
    pub allowed_by: Option<(usize, usize)>,
}

impl Leg<'_> {
    /// Whether any policy isolates this end in this direction.
    pub fn isolated(&self) -> bool {
        !self.isolating.is_empty()
    }

    /// The first rule that allows it: its policy, and its index in `spec.egress` or `spec.ingress` there.
    pub fn allowing_rule(&self) -> Option<(&CompiledPolicy, usize)> {
        let (policy, rule) = self.allowed_by?;
        Some((self.isolating.get(policy)?, rule))
    }
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
