//! What the calls that decide have in common.

use gavel_proto::v1 as pb;

use crate::decision_log;
use crate::metrics::{Decides, Verdict};

/// Why there is no answer: the status code's name, and its message.
pub(super) type Failure = (String, String);

/// A question that is decided.
pub(super) trait Question: Clone {
    /// What is answered.
    type Answer: Answer;
    /// Which call it is.
    const CALL: Decides;

    /// How fresh the snapshot has to be.
    fn consistency(&self) -> Option<&pb::Consistency>;
    /// For the decision log.
    fn logged(self, answer: Result<Self::Answer, Failure>) -> decision_log::Question;
}

/// An answer of a decision.
pub(super) trait Answer: prost::Message + Clone {
    /// What came out.
    fn verdict(&self) -> Verdict;
    /// The policy that decided, as far as there is one.
    fn policy(&self) -> &str;
    /// The snapshot's revision.
    fn revision(&self) -> u64;
    /// Sets how old what it was made from is.
    fn set_staleness(&mut self, staleness: pbjson_types::Duration);
    /// Sets the name by which the decision is found in logs and traces.
    fn set_decision_id(&mut self, id: String);
}

macro_rules! questions {
    ($($call:ident: $request:ident -> $answer:ident, $verdict:expr, $policy:expr;)*) => {$(
        impl Question for pb::$request {
            type Answer = pb::$answer;
            const CALL: Decides = Decides::$call;

            fn consistency(&self) -> Option<&pb::Consistency> {
                self.consistency.as_ref()
            }

            fn logged(self, answer: Result<pb::$answer, Failure>) -> decision_log::Question {
                decision_log::Question::$call(Box::new(self), answer.map(Box::new))
            }
        }

        impl Answer for pb::$answer {
            fn verdict(&self) -> Verdict {
                let allowed: fn(&Self) -> bool = $verdict;
                Verdict::of(allowed(self))
            }

            fn policy(&self) -> &str {
                let policy: fn(&Self) -> &str = $policy;
                policy(self)
            }

            fn revision(&self) -> u64 {
                self.revision
            }

            fn set_staleness(&mut self, staleness: pbjson_types::Duration) {
                self.staleness = Some(staleness);
            }

            fn set_decision_id(&mut self, id: String) {
                self.decision_id = id;
            }
        }
    )*};
}

questions! {
    Admit: AdmitRequest -> AdmitResponse, |answer| answer.allowed, |answer| &answer.policy;
    CheckFlow: CheckFlowRequest -> CheckFlowResponse,
        |answer| answer.verdict() == pb::Verdict::Allow,
        |answer| flow_policy(answer).map_or("", |policy| &policy.name);
    Authorize: AuthorizeRequest -> AuthorizeResponse,
        |answer| answer.allowed,
        |answer| answer.grant.as_ref().map_or("", |grant| &grant.binding);
}

/// The policy that denied, else one that allowed.
fn flow_policy(answer: &pb::CheckFlowResponse) -> Option<&pb::PolicyRef> {
    let legs = || [&answer.egress, &answer.ingress].into_iter().flatten();
    let denied = legs().find(|leg| leg.verdict() == pb::Verdict::Deny);
    let denying = denied.and_then(|leg| leg.isolating.first());
    denying.or_else(|| legs().find_map(|leg| leg.allowed_by.as_ref()?.policy.as_ref()))
}
