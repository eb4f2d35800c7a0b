//! Questions as the wire has them, and answers as far as everybody who is asked can tell them.

use std::collections::BTreeMap;

use gavel_proto::v1 as pb;
use serde_json::Value;

/// A question.
#[derive(Clone, Debug)]
pub enum Question {
    /// May this pod be created?
    Admit(Box<pb::AdmitRequest>),
    /// May this end call that one?
    CheckFlow(Box<pb::CheckFlowRequest>),
    /// May this subject do this?
    Authorize(Box<pb::AuthorizeRequest>),
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To [`Question::Admit`].
    Admit(Box<Admission>),
    /// To [`Question::CheckFlow`].
    CheckFlow(Flow),
    /// To [`Question::Authorize`].
    Authorize {
        /// Whether some binding grants it.
        allowed: bool,
        /// In Kubernetes' words.
        reason: String,
    },
    /// The question was refused.
    Refused(String),
}

/// An admission.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admission {
    /// Whether the pod is admitted.
    pub allowed: bool,
    /// In Kubernetes' words; empty when admitted.
    pub message: String,
    /// The JSON Patch, as a list of operations.
    pub patch: Value,
    /// The policy chosen in the mutate phase; empty: none.
    pub admit_policy: String,
    /// The policy chosen in the validate phase; empty: none.
    pub validate_policy: String,
    /// `admit`, `validate` or `ignored`; `None` where whoever was asked does not say.
    pub stage: Option<&'static str>,
    /// Each policy's part of the message; `None` where whoever was asked does not say.
    pub denials: Option<BTreeMap<String, String>>,
}

/// A flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Whether both legs allow.
    pub allowed: bool,
    /// Whether the source's egress allows.
    pub egress: bool,
    /// Whether the destination's ingress allows.
    pub ingress: bool,
    /// Whether some policy isolates the source.
    pub egress_isolated: bool,
    /// Whether some policy isolates the destination.
    pub ingress_isolated: bool,
}

impl From<pb::AdmitResponse> for Answer {
    fn from(answer: pb::AdmitResponse) -> Self {
        let audit = |key: &str| {
            let key = format!("podsecuritypolicy.policy.k8s.io/{key}");
            answer.audit_annotations.get(&key).cloned().unwrap_or_default()
        };
        let mut denials: BTreeMap<String, String> = BTreeMap::new();
        for violation in &answer.violations {
            let denial = denials.entry(violation.policy.clone()).or_default();
            if !denial.is_empty() {
                denial.push(' ');
            }
            denial.push_str(&violation.message);
        }
        Answer::Admit(Box::new(Admission {
            allowed: answer.allowed,
            patch: serde_json::from_slice(&answer.patch).unwrap_or(Value::Array(Vec::new())),
            admit_policy: audit("admit-policy"),
            validate_policy: audit("validate-policy"),
            stage: Some(match (answer.reason(), answer.decided_in()) {
                (pb::AdmitReason::NotApplicable, _) => "ignored",
                (_, pb::Phase::Mutate) => "admit",
                _ => "validate",
            }),
            denials: Some(denials),
            message: answer.message,
        }))
    }
}

impl From<pb::CheckFlowResponse> for Answer {
    fn from(answer: pb::CheckFlowResponse) -> Self {
        let leg = |leg: &Option<pb::Leg>| {
            leg.as_ref().map_or((false, false), |leg| (leg.verdict() == pb::Verdict::Allow, leg.isolated))
        };
        let ((egress, egress_isolated), (ingress, ingress_isolated)) =
            (leg(&answer.egress), leg(&answer.ingress));
        let allowed = answer.verdict() == pb::Verdict::Allow;
        Answer::CheckFlow(Flow { allowed, egress, ingress, egress_isolated, ingress_isolated })
    }
}

impl From<pb::AuthorizeResponse> for Answer {
    fn from(answer: pb::AuthorizeResponse) -> Self {
        Answer::Authorize { allowed: answer.allowed, reason: answer.reason }
    }
}
