//! Answers to `CheckFlow`, as they go on the wire.
//!
//! They are written straight into bytes, field by field: names of policies are borrowed from the snapshot, and a message
//! that owns a copy of each would cost more to make and to drop than deciding. Whoever wants the message reads it from
//! the bytes, so that there is one description of an answer and no second one to disagree with it.

use std::io::Write as _;

use gavel_engine::network::{FlowDecision, Leg, LegReason, RuleTrace};
use gavel_proto::v1 as pb;
use prost::Message as _;
use tonic::Status;

use super::Detail;
use super::write::{message, number, text};

/// Numbers of the fields that are set once the answer has been decided.
const REVISION: u32 = 4;
const STALENESS: u32 = 7;
const DECISION_ID: u32 = 8;
/// Numbers of the fields of identities, source and destination.
const IDENTITIES: (u32, u32) = (9, 10);

/// An answer to `CheckFlow`: a `CheckFlowResponse` on the wire, without the revision.
#[derive(Clone, Debug, Default)]
pub struct FlowAnswer {
    allowed: bool,
    revision: u64,
    bytes: Vec<u8>,
}

impl FlowAnswer {
    /// Writes a decision. `traces`: of each leg every rule that was looked at, if somebody asked for it; `identities`: of
    /// source and destination, as far as it holds for them and somebody asked.
    pub(super) fn write(
        decision: &FlowDecision<'_>,
        traces: &[Vec<RuleTrace>; 2],
        detail: Detail,
        identities: (Option<u32>, Option<u32>),
        revision: u64,
        mut bytes: Vec<u8>,
    ) -> Self {
        let out = &mut bytes;
        let allowed = decision.allowed();
        number(out, 1, to_verdict(allowed) as u64);
        let [egress, ingress] = traces;
        message(out, 2, |out| leg(out, &decision.egress, egress, detail));
        message(out, 3, |out| leg(out, &decision.ingress, ingress, detail));
        if detail.has_names() {
            message(out, 5, |out| reason(out, decision));
            if decision.unknown_address {
                text(out, 6, "an end is a pod without a known address, so no ipBlock was held against it");
            }
        }
        // 0 is none.
        let number_of = |identity: Option<u32>| identity.map_or(0, |identity| u64::from(identity) + 1);
        number(out, IDENTITIES.0, number_of(identities.0));
        number(out, IDENTITIES.1, number_of(identities.1));
        Self { allowed, revision, bytes }
    }

    /// Whether the flow is allowed.
    pub fn allowed(&self) -> bool {
        self.allowed
    }

    /// Revision of the snapshot that answered.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The answer as it goes on the wire among others: revision and staleness are those of the whole.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The answer as it goes on the wire by itself.
    pub fn into_bytes(mut self) -> Vec<u8> {
        number(&mut self.bytes, REVISION, self.revision);
        self.bytes
    }

    /// The bytes, emptied, as room for the next answer.
    pub fn into_buffer(mut self) -> Vec<u8> {
        self.bytes.clear();
        self.bytes
    }

    /// Sets how old what the answer was made from is.
    pub fn set_staleness(&mut self, staleness: &pbjson_types::Duration) {
        prost::encoding::message::encode(STALENESS, staleness, &mut self.bytes);
    }

    /// Sets the name by which the decision is found in logs and traces.
    pub fn set_decision_id(&mut self, id: &str) {
        text(&mut self.bytes, DECISION_ID, id);
    }

    /// The answer as a message, revision included.
    ///
    /// # Errors
    /// INTERNAL when what was written cannot be read.
    pub fn message(&self) -> Result<pb::CheckFlowResponse, Status> {
        let read = pb::CheckFlowResponse::decode(self.bytes.as_slice());
        let read =
            read.map_err(|error| Status::internal(format!("an answer that cannot be read: {error}")))?;
        Ok(pb::CheckFlowResponse { revision: self.revision, ..read })
    }

    /// An answer with everything, without what this detail leaves out.
    ///
    /// # Errors
    /// As [`FlowAnswer::message`].
    pub fn reduced_to(&self, detail: Detail) -> Result<Self, Status> {
        let mut message = self.message()?;
        if !detail.has_names() {
            for leg in [&mut message.egress, &mut message.ingress].into_iter().flatten() {
                leg.isolating.clear();
                leg.allowed_by = None;
            }
            message.reason.clear();
            message.warnings.clear();
        }
        if !detail.has_identities() {
            (message.source_identity, message.destination_identity) = (0, 0);
        }
        message.revision = 0;
        Ok(Self { bytes: message.encode_to_vec(), ..*self })
    }
}

fn to_verdict(allowed: bool) -> pb::Verdict {
    if allowed { pb::Verdict::Allow } else { pb::Verdict::Deny }
}

/// A `Leg`.
fn leg(out: &mut Vec<u8>, leg: &Leg<'_>, traces: &[RuleTrace], detail: Detail) {
    number(out, 1, to_verdict(leg.allowed) as u64);
    number(out, 2, leg.isolated.into());
    if detail.has_names() {
        for isolating in leg.isolating() {
            message(out, 3, |out| policy(out, &isolating.namespace, &isolating.name));
        }
        if let Some((index, rule)) = leg.allowed_by() {
            message(out, 4, |out| {
                policy_at(out, leg, index);
                number(out, 2, rule as u64);
            });
        }
    }
    for &RuleTrace { policy, rule, peer_matched, port_matched } in traces {
        message(out, 5, |out| {
            policy_at(out, leg, policy);
            number(out, 2, rule as u64);
            number(out, 3, peer_matched.into());
            number(out, 4, port_matched.into());
        });
    }
    let reason = match leg.reason {
        LegReason::NotIsolated => pb::LegReason::NotIsolated,
        LegReason::Rule => pb::LegReason::Rule,
        LegReason::NoRule => pb::LegReason::NoRule,
        LegReason::NotAPod => pb::LegReason::NotAPod,
        LegReason::HostNetwork => pb::LegReason::HostNetwork,
        LegReason::SelfTraffic => pb::LegReason::SamePod,
    };
    number(out, 6, reason as u64);
}

/// The first field of whatever tells of a rule: the policy, by its place among those that isolate.
fn policy_at(out: &mut Vec<u8>, leg: &Leg<'_>, index: usize) {
    if let Some(isolating) = leg.isolating().get(index) {
        message(out, 1, |out| policy(out, &isolating.namespace, &isolating.name));
    }
}

/// A `PolicyRef`.
fn policy(out: &mut Vec<u8>, namespace: &str, name: &str) {
    // Kind, the first field: the same bytes for all of them.
    out.extend_from_slice(b"\x0a\x0dNetworkPolicy");
    text(out, 2, namespace);
    text(out, 3, name);
}

/// A direction, in words, and whose it is.
struct Words {
    direction: &'static str,
    end: &'static str,
}

const EGRESS: Words = Words { direction: "egress", end: "the source" };
const INGRESS: Words = Words { direction: "ingress", end: "the destination" };

/// The answer in a sentence.
fn reason(out: &mut Vec<u8>, decision: &FlowDecision<'_>) {
    let (egress, ingress) = (&decision.egress, &decision.ingress);
    let is_rule = |leg: &Leg<'_>| leg.reason == LegReason::Rule;
    // Which legs are told of, and what is between them.
    let (verdict, of_egress, between, of_ingress) = match (egress.allowed, ingress.allowed) {
        (false, false) => ("denied: ", true, "; and ", true),
        (false, true) => ("denied: ", true, "", false),
        (true, false) => ("denied: ", false, "", true),
        (true, true) if egress.reason == LegReason::SelfTraffic => ("allowed: ", true, "", false),
        // Of two legs that allow, a rule says more than that there is none.
        (true, true) if is_rule(egress) == is_rule(ingress) => ("allowed: ", true, "; ", true),
        (true, true) => ("allowed: ", is_rule(egress), "", is_rule(ingress)),
    };
    out.extend_from_slice(verdict.as_bytes());
    if of_egress {
        leg_reason(out, egress, &EGRESS);
    }
    out.extend_from_slice(between.as_bytes());
    if of_ingress {
        leg_reason(out, ingress, &INGRESS);
    }
}

fn leg_reason(out: &mut Vec<u8>, leg: &Leg<'_>, &Words { direction, end }: &Words) {
    let mut words = |words: &[&str]| words.iter().for_each(|word| out.extend_from_slice(word.as_bytes()));
    match (leg.reason, leg.allowed_by()) {
        (LegReason::NotIsolated, _) => words(&["no policy isolates ", end, " for ", direction]),
        (LegReason::NotAPod, _) => {
            words(&[end, " is no pod of this cluster, so no policy holds its ", direction]);
        }
        (LegReason::HostNetwork, _) => {
            words(&[end, " is a host-network pod, which no NetworkPolicy holds for ", direction]);
        }
        (LegReason::SelfTraffic, _) => words(&["a pod always reaches itself"]),
        (LegReason::Rule, Some((policy, rule))) => {
            words(&["NetworkPolicy "]);
            if let Some(policy) = leg.isolating().get(policy) {
                words(&[&policy.namespace, "/", &policy.name]);
            }
            words(&[" allows the ", direction, " (spec.", direction, "["]);
            // Writing to memory does not fail.
            let _ = write!(out, "{rule}])");
        }
        (LegReason::Rule | LegReason::NoRule, _) => {
            let is_one = leg.isolating().len() == 1;
            words(&[if is_one { "NetworkPolicy" } else { "NetworkPolicies" }]);
            for (index, policy) in leg.isolating().iter().enumerate() {
                words(&[if index == 0 { " " } else { ", " }, &policy.namespace, "/", &policy.name]);
            }
            let verb = if is_one { " isolates " } else { " isolate " };
            words(&[verb, end, " for ", direction, ", and no rule allows this"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_written() {
        // Taken apart field by field, so that a new one breaks the build until somebody thinks.
        let pb::CheckFlowResponse {
            verdict: _,
            egress: _,
            ingress: _,
            revision: _,
            reason: _,
            warnings: _,
            staleness: _,
            decision_id: _,
            source_identity: _,
            destination_identity: _,
        } = pb::CheckFlowResponse::default();
        let pb::Leg { verdict: _, isolated: _, isolating: _, allowed_by: _, rules: _, reason: _ } =
            pb::Leg::default();
        let pb::RuleRef { policy: _, rule: _ } = pb::RuleRef::default();
        let pb::RuleTrace { policy: _, rule: _, peer_matched: _, port_matched: _ } = pb::RuleTrace::default();
        let pb::PolicyRef { kind: _, namespace: _, name: _ } = pb::PolicyRef::default();
    }

    #[test]
    fn what_is_set_afterwards_is_read() {
        let mut answer = FlowAnswer { allowed: true, revision: 300, bytes: Vec::new() };
        number(&mut answer.bytes, 1, pb::Verdict::Allow as u64);
        let staleness = pbjson_types::Duration { seconds: 3, nanos: 4 };
        answer.set_staleness(&staleness);
        answer.set_decision_id("id");
        let expected = pb::CheckFlowResponse {
            verdict: pb::Verdict::Allow.into(),
            revision: 300,
            staleness: Some(staleness),
            decision_id: "id".into(),
            ..Default::default()
        };
        assert_eq!(answer.message().unwrap(), expected);
        assert_eq!(pb::CheckFlowResponse::decode(answer.into_bytes().as_slice()).unwrap(), expected);
    }

    #[test]
    fn a_policy_is_of_its_kind() {
        let mut bytes = Vec::new();
        policy(&mut bytes, "space", "name");
        let expected =
            pb::PolicyRef { kind: "NetworkPolicy".into(), namespace: "space".into(), name: "name".into() };
        assert_eq!(pb::PolicyRef::decode(bytes.as_slice()).unwrap(), expected);
    }
}
