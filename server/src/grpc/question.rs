//! What the calls that decide have in common.

use std::borrow::Cow;

use gavel_proto::v1 as pb;
use prost::Message as _;
use tonic::Status;

use crate::decide::FlowAnswer;
use crate::decision_log;
use crate::metrics::{Decides, Verdict};

/// Why there is no answer: the status code's name, and its message.
pub(super) type Failure = (String, String);

/// Why there is no answer, by the status that is sent instead.
pub(super) fn failure(status: &Status) -> Failure {
    (format!("{:?}", status.code()), status.message().to_owned())
}

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
pub(super) trait Answer: Clone {
    /// What came out.
    fn verdict(&self) -> Verdict;
    /// The policy that decided, as far as there is one.
    fn policy(&self) -> Cow<'_, str>;
    /// Bytes that it takes on the wire.
    fn size(&self) -> usize;
    /// The snapshot's revision.
    fn revision(&self) -> u64;
    /// Sets how old what it was made from is.
    fn set_staleness(&mut self, staleness: pbjson_types::Duration);
    /// Sets the name by which the decision is found in logs and traces.
    fn set_decision_id(&mut self, id: String);
}

impl Question for pb::CheckFlowRequest {
    type Answer = FlowAnswer;
    const CALL: Decides = Decides::CheckFlow;

    fn consistency(&self) -> Option<&pb::Consistency> {
        self.consistency.as_ref()
    }

    fn logged(self, answer: Result<FlowAnswer, Failure>) -> decision_log::Question {
        let answer = answer.and_then(|answer| answer.message().map_err(|status| failure(&status)));
        decision_log::Question::CheckFlow(Box::new(self), answer.map(Box::new))
    }
}

impl Answer for FlowAnswer {
    fn verdict(&self) -> Verdict {
        Verdict::of(self.allowed())
    }

    fn policy(&self) -> Cow<'_, str> {
        let answer = self.message().ok();
        Cow::Owned(
            answer.as_ref().and_then(flow_policy).map_or_else(String::new, |policy| policy.name.clone()),
        )
    }

    fn size(&self) -> usize {
        self.bytes().len()
    }

    fn revision(&self) -> u64 {
        self.revision()
    }

    fn set_staleness(&mut self, staleness: pbjson_types::Duration) {
        self.set_staleness(&staleness);
    }

    fn set_decision_id(&mut self, id: String) {
        self.set_decision_id(&id);
    }
}

macro_rules! questions {
    ($($call:ident: $request:ident -> $answer:ident, $policy:expr;)*) => {$(
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
                Verdict::of(self.allowed)
            }

            fn policy(&self) -> Cow<'_, str> {
                let policy: fn(&Self) -> &str = $policy;
                Cow::Borrowed(policy(self))
            }

            fn size(&self) -> usize {
                self.encoded_len()
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
    Admit: AdmitRequest -> AdmitResponse, |answer| &answer.policy;
    Authorize: AuthorizeRequest -> AuthorizeResponse,
        |answer| answer.grant.as_ref().map_or("", |grant| &grant.binding);
}

/// The policy that denied, else one that allowed.
fn flow_policy(answer: &pb::CheckFlowResponse) -> Option<&pb::PolicyRef> {
    let legs = || [&answer.egress, &answer.ingress].into_iter().flatten();
    let denied = legs().find(|leg| leg.verdict() == pb::Verdict::Deny);
    let denying = denied.and_then(|leg| leg.isolating.first());
    denying.or_else(|| legs().find_map(|leg| leg.allowed_by.as_ref()?.policy.as_ref()))
}
