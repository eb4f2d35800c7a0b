//! What is logged of a decision.

use std::time::{Duration, SystemTime};

use gavel_proto::v1 as pb;
use serde_json::{Map, Value, json};

use super::question::{self, Redaction};

/// A decision. Taken apart and written down by the thread that writes.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) at: SystemTime,
    pub(crate) id: String,
    /// Who asked: a user's name; none where whoever can connect may ask.
    pub(crate) caller: Option<String>,
    /// How it is known who asked.
    pub(crate) authenticated_by: &'static str,
    /// Ids of the trace and of the span that the decision is part of, if it is traced.
    pub(crate) trace: Option<(String, String)>,
    pub(crate) took: Duration,
    pub(crate) question: Question,
}

/// What was asked, and what was answered; or the status code's name, and why there is no answer.
#[derive(Debug)]
pub(crate) enum Question {
    Admit(Box<pb::AdmitRequest>, Result<Box<pb::AdmitResponse>, (String, String)>),
    CheckFlow(Box<pb::CheckFlowRequest>, Result<Box<pb::CheckFlowResponse>, (String, String)>),
    Authorize(Box<pb::AuthorizeRequest>, Result<Box<pb::AuthorizeResponse>, (String, String)>),
}

impl Record {
    /// Memory it takes, about: as much as question and answer do on the wire.
    pub(super) fn size(&self) -> usize {
        fn sum<Q: prost::Message, A: prost::Message>(
            asked: &Q,
            answer: Result<&A, &(String, String)>,
        ) -> usize {
            asked.encoded_len() + answer.map_or_else(|(_, why)| why.len(), A::encoded_len)
        }
        size_of::<Self>()
            + match &self.question {
                Question::Admit(request, answer) => sum(&**request, answer.as_deref()),
                Question::CheckFlow(request, answer) => sum(&**request, answer.as_deref()),
                Question::Authorize(request, answer) => sum(&**request, answer.as_deref()),
            }
    }

    /// As a JSON object.
    pub(super) fn to_json(&self, redaction: Redaction) -> Map<String, Value> {
        let Self { at, id, caller, authenticated_by, trace, took, question } = self;
        let mut object = Map::new();
        object.insert("time".to_owned(), rfc3339(*at).into());
        object.insert("decision_id".to_owned(), id.as_str().into());
        let (rpc, asked, answer) = match question {
            Question::Admit(request, answer) => (
                "Admit",
                question::admit(request, redaction),
                answered(answer.as_deref(), redaction, admitted),
            ),
            Question::CheckFlow(request, answer) => (
                "CheckFlow",
                question::check_flow(request, redaction),
                answered(answer.as_deref(), redaction, flowed),
            ),
            Question::Authorize(request, answer) => (
                "Authorize",
                question::authorize(request, redaction),
                answered(answer.as_deref(), redaction, authorized),
            ),
        };
        object.insert("rpc".to_owned(), rpc.into());
        object.extend(answer);
        if let Some(asked) = asked {
            object.insert("question".to_owned(), asked);
        }
        object.insert("caller".to_owned(), json!({"name": caller, "authenticated_by": authenticated_by}));
        if let Some((trace_id, span_id)) = trace {
            object.insert("trace_id".to_owned(), trace_id.as_str().into());
            object.insert("span_id".to_owned(), span_id.as_str().into());
        }
        object.insert("duration_seconds".to_owned(), took.as_secs_f64().into());
        object
    }
}

fn answered<A>(
    answer: Result<&A, &(String, String)>,
    redaction: Redaction,
    tell: impl Fn(&A) -> Map<String, Value>,
) -> Map<String, Value> {
    match answer {
        Ok(answer) => tell(answer),
        Err((code, why)) => {
            let why = question::refusal(code, why, redaction);
            map(json!({"verdict": "error", "status": code, "reason": why}))
        }
    }
}

/// The fields of an object.
fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn verdict(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}

fn admitted(answer: &pb::AdmitResponse) -> Map<String, Value> {
    let policies: Vec<&String> =
        Some(&answer.policy).filter(|policy| !policy.is_empty()).into_iter().collect();
    let violations: Vec<Value> = answer
        .violations
        .iter()
        .chain(&answer.unmet)
        .map(|violation| json!({"policy": violation.policy, "field": violation.field, "control": violation.control}))
        .collect();
    map(json!({
        "verdict": verdict(answer.allowed),
        "reason": answer.reason().as_str_name(),
        "policies": policies,
        "violations": violations,
        "changed": !answer.patch.is_empty(),
        "revision": answer.revision,
    }))
}

fn flowed(answer: &pb::CheckFlowResponse) -> Map<String, Value> {
    let legs = [("egress", &answer.egress), ("ingress", &answer.ingress)];
    let policies: Vec<Value> = legs
        .iter()
        .filter_map(|(direction, leg)| leg.as_ref().map(|leg| (direction, leg)))
        .flat_map(|(direction, leg)| {
            // What allowed it; where nothing did, what isolates the end.
            let deciding: Vec<&pb::PolicyRef> = match &leg.allowed_by {
                Some(rule) => rule.policy.iter().collect(),
                None => leg.isolating.iter().collect(),
            };
            deciding.into_iter().map(move |policy| {
                json!({"direction": direction, "kind": policy.kind, "namespace": policy.namespace, "name": policy.name})
            })
        })
        .collect();
    map(json!({
        "verdict": verdict(answer.verdict() == pb::Verdict::Allow),
        "reason": answer.reason,
        "policies": policies,
        "revision": answer.revision,
    }))
}

fn authorized(answer: &pb::AuthorizeResponse) -> Map<String, Value> {
    let binding = answer.grant.as_ref().map(|grant| {
        json!({"binding_kind": grant.binding_kind, "binding": grant.binding, "role_kind": grant.role_kind, "role": grant.role})
    });
    map(json!({
        "verdict": verdict(answer.allowed),
        "reason": answer.reason,
        "grant": binding,
        "revision": answer.revision,
    }))
}

fn rfc3339(at: SystemTime) -> String {
    // prost's conversion, whose text is that of RFC 3339.
    prost_types::Timestamp::from(at).to_string()
}
