//! The answer to a flow question.

use std::sync::Arc;

use super::Index;
use super::ends::Unborn;
use super::policy::{CompiledPolicy, Direction};

/// The answer to a flow question. Borrows from the snapshot: making one allocates nothing, unless it was asked about a
/// pod that does not exist yet, or about workloads. Names are looked up when they are asked for.
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
    #[inline]
    pub fn allowed(&self) -> bool {
        self.egress.allowed & self.ingress.allowed
    }

    /// The identities for which this holds, of the source and of the destination: whatever pods of these two there are,
    /// on the same protocol and port the verdict is the same, but for a pod and itself. Of this snapshot: with the next
    /// one numbers may stand for other pods. None: it holds for that end alone, since it is no pod that policies hold,
    /// or a rule looks at its address.
    pub fn identities(&self) -> (Option<u32>, Option<u32>) {
        if self.egress.reason == LegReason::SelfTraffic {
            return (None, None);
        }
        let of = |leg: &Leg<'_>, other: &Leg<'_>| match leg.held {
            Held::Pod(_, identity) if !other.looks_at_addresses() => Some(identity),
            _ => None,
        };
        (of(&self.egress, &self.ingress), of(&self.ingress, &self.egress))
    }
}

/// What one end's policies say.
#[derive(Clone, Debug)]
pub struct Leg<'s> {
    /// Whether this leg lets the flow pass.
    pub allowed: bool,
    /// Why.
    pub reason: LegReason,
    /// Whether any policy isolates this end in this direction.
    pub isolated: bool,
    pub(super) direction: Direction,
    pub(super) held: Held<'s>,
    pub(super) first: First,
}

/// Whose policies a leg is about.
#[derive(Clone, Debug)]
pub(super) enum Held<'s> {
    /// Nobody that policies hold.
    Nobody,
    /// A pod of the identity of this number.
    Pod(&'s Index, u32),
    Unborn(Arc<Unborn>),
}

/// The first rule that allows a leg.
#[derive(Clone, Copy, Debug)]
pub(super) enum First {
    None,
    /// Index of its step in the identity's isolation.
    Step(u32),
    /// Index of its policy, and of the rule in it.
    Rule(u32, u32),
}

impl Leg<'_> {
    /// Whether a rule has an ipBlock: then it matters which address the other end has.
    fn looks_at_addresses(&self) -> bool {
        let rules = self.isolating().iter().flat_map(|policy| policy.rules(self.direction));
        rules.into_iter().any(|rule| rule.addresses.is_some())
    }

    /// The policies that isolate this end in this direction, in order of their names; empty: not isolated.
    pub fn isolating(&self) -> &[Arc<CompiledPolicy>] {
        match &self.held {
            Held::Nobody => &[],
            Held::Pod(index, identity) => index.isolating_identity(*identity, self.direction),
            Held::Unborn(unborn) => unborn.isolating(self.direction),
        }
    }

    /// The first rule that allows it: index into [`Leg::isolating`], and index of the rule in its policy.
    pub fn allowed_by(&self) -> Option<(usize, usize)> {
        match (self.first, &self.held) {
            (First::Rule(policy, rule), _) => Some((policy as usize, rule as usize)),
            (First::Step(step), Held::Pod(index, identity)) => {
                index.identities.get(*identity)?.isolation(self.direction).origin(step)
            }
            (First::Step(_) | First::None, _) => None,
        }
    }

    /// The first rule that allows it: its policy, and its index in `spec.egress` or `spec.ingress` there.
    pub fn allowing_rule(&self) -> Option<(&CompiledPolicy, usize)> {
        let (policy, rule) = self.allowed_by()?;
        Some((self.isolating().get(policy)?, rule))
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
