//! From a decision, or from the lack of one, to what the API server and its user are told.

use std::time::Duration;

use gavel_client::review::Answer;
use gavel_client::{Error, FieldViolation, v1 as pb};
use tonic::Code;

use crate::config::{Messages, OnUnavailable};

/// A decision from a snapshot older than this is told as such.
const STALE: Duration = Duration::from_secs(60);
/// Gavel's own words in a message are cut after so many bytes: an event's message holds 1024
/// (`NoteLengthLimit` of `k8s.io/kubernetes/pkg/apis/core/validation/events.go`), and Kubernetes' words come first.
const MOST_BYTES: usize = 640;

/// The answer that passes a decision on.
pub(crate) fn decided(decision: pb::AdmitResponse, messages: Messages) -> Answer {
    let explanation = match messages {
        Messages::Explained if !decision.allowed => explanation(&decision),
        Messages::Explained | Messages::Kubernetes => Vec::new(),
    };
    let (revision, staleness) = (decision.revision, staleness(&decision));
    let mut answer = Answer::from(decision);
    append(&mut answer.message, &explanation);
    answer.audit_annotations = answer
        .audit_annotations
        .into_iter()
        // An API server puts the webhook's name and a slash before each key, and drops keys that then have two slashes
        // (`webhook/mutating/dispatcher.go` and `checkKeyFormat` of `attributes.go`, both in
        // `k8s.io/apiserver/pkg/admission`).
        .map(|(key, value)| (key.rsplit('/').next().unwrap_or_default().to_owned(), value))
        .collect();
    annotate(&mut answer, "revision", revision.to_string());
    if let Some(staleness) = staleness.filter(|staleness| *staleness > STALE) {
        let seconds = staleness.as_secs();
        answer.warnings.push(format!(
            "the policies that decided were last known to be the cluster's {seconds} s ago: \
             a later change may be missing"
        ));
        annotate(&mut answer, "staleness", format!("{seconds}s"));
    }
    answer
}

/// What Kubernetes' words leave out, piece by piece; nothing where they say all.
fn explanation(decision: &pb::AdmitResponse) -> Vec<String> {
    match decision.reason() {
        pb::AdmitReason::NeedsChanges => {
            let told = |violation: &pb::Violation| {
                format!("PodSecurityPolicy {}: {}", violation.policy, violation.message)
            };
            decision.unmet.iter().map(told).collect()
        }
        pb::AdmitReason::NoUsablePolicy => decision.warnings.clone(),
        pb::AdmitReason::NoPolicies if decision.warnings.is_empty() => vec![
            "there is no PodSecurityPolicy in the cluster, and without one no pod is admitted".to_owned(),
        ],
        pb::AdmitReason::NoPolicies => decision.warnings.clone(),
        pb::AdmitReason::Violations
        | pb::AdmitReason::Allowed
        | pb::AdmitReason::NotApplicable
        | pb::AdmitReason::Unspecified => Vec::new(),
    }
}

/// Appends pieces on the same line, as many as there is room for; `kubectl describe` shows an event on one.
fn append(message: &mut String, pieces: &[String]) {
    let limit = message.len() + MOST_BYTES;
    for (index, piece) in pieces.iter().enumerate() {
        let piece = piece.replace(['\n', '\r'], " ");
        // The first one is told in any case.
        if index > 0 && message.len() + piece.len() > limit {
            message.push_str(&format!("; and {} more, in the warnings", pieces.len() - index));
            return;
        }
        message.push_str("; ");
        message.push_str(&piece);
    }
}

fn annotate(answer: &mut Answer, key: &str, value: String) {
    answer.audit_annotations.insert(key.to_owned(), value);
}

fn staleness(decision: &pb::AdmitResponse) -> Option<Duration> {
    let staleness = decision.staleness.as_ref()?;
    Some(Duration::new(u64::try_from(staleness.seconds).ok()?, u32::try_from(staleness.nanos).ok()?))
}

/// The object inside the review cannot be read.
pub(crate) fn invalid(uid: String, message: &str, violations: &[FieldViolation]) -> Answer {
    // The wire's names of the object's fields are those of the review.
    let fields: Vec<String> =
        violations.iter().map(|one| format!("request.{}: {}", one.field, one.description)).collect();
    let message = if fields.is_empty() { message.to_owned() } else { fields.join("; ") };
    Answer { uid, code: 400, reason: "BadRequest", message, ..Answer::default() }
}

/// A server answered, and not with a decision. Never let pass, whatever `--on-unavailable` says: it may be the object's
/// doing, and whoever sends objects must not be able to switch policies off by it.
pub(crate) fn failed(uid: String, error: &Error) -> Answer {
    let message = format!("Gavel cannot decide on this object: {error}");
    let (code, reason) = match error {
        Error::Attempts(attempts) if attempts.code() == Code::OutOfRange => (413, "RequestEntityTooLarge"),
        _ => (500, "InternalError"),
    };
    Answer { uid, code, reason, message, ..Answer::default() }
}

/// No server answered in time.
pub(crate) fn unavailable(uid: String, why: &str, on_unavailable: OnUnavailable) -> Answer {
    let mut answer = match on_unavailable {
        OnUnavailable::Deny => Answer {
            uid,
            code: 503,
            reason: "ServiceUnavailable",
            message: format!(
                "no Gavel server could decide, and --on-unavailable deny of gavel-webhook refuses what no policy \
                 has seen: {why}"
            ),
            ..Answer::default()
        },
        OnUnavailable::Allow => Answer {
            uid,
            allowed: true,
            warnings: vec![format!(
                "admitted without a decision: no Gavel server could decide, and --on-unavailable allow of \
                 gavel-webhook lets pass what no policy has seen: {why}"
            )],
            ..Answer::default()
        },
    };
    annotate(&mut answer, "unavailable", why.to_owned());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reason: pb::AdmitReason) -> pb::AdmitResponse {
        pb::AdmitResponse {
            uid: "u".to_owned(),
            code: 403,
            reason: reason.into(),
            message: "unable to validate pod: []".to_owned(),
            warnings: vec!["nothing grants it".to_owned(), "binding \"b\" names\nnobody".to_owned()],
            unmet: vec![pb::Violation {
                policy: "p".to_owned(),
                message: "spec.x: Required value: must be true".to_owned(),
                ..Default::default()
            }],
            revision: 7,
            ..Default::default()
        }
    }

    #[test]
    fn messages() {
        let explained = [
            (
                pb::AdmitReason::NeedsChanges,
                "unable to validate pod: []; PodSecurityPolicy p: spec.x: Required value: must be true",
            ),
            (
                pb::AdmitReason::NoUsablePolicy,
                "unable to validate pod: []; nothing grants it; binding \"b\" names nobody",
            ),
            (
                pb::AdmitReason::NoPolicies,
                "unable to validate pod: []; nothing grants it; binding \"b\" names nobody",
            ),
            (pb::AdmitReason::Violations, "unable to validate pod: []"),
        ];
        for (reason, message) in explained {
            assert_eq!(decided(refused(reason), Messages::Explained).message, message);
            let kubernetes = decided(refused(reason), Messages::Kubernetes);
            assert_eq!(kubernetes.message, "unable to validate pod: []");
            assert_eq!(kubernetes.warnings, refused(reason).warnings, "passed on besides");
        }
        let bare = pb::AdmitResponse { warnings: Vec::new(), ..refused(pb::AdmitReason::NoPolicies) };
        assert!(decided(bare, Messages::Explained).message.contains("; there is no PodSecurityPolicy"));
        let many = pb::AdmitResponse {
            warnings: vec!["w".repeat(300); 9],
            ..refused(pb::AdmitReason::NoUsablePolicy)
        };
        let message = decided(many, Messages::Explained).message;
        assert!(message.len() < 1024 && message.ends_with("; and 7 more, in the warnings"), "{message}");
    }

    #[test]
    fn annotations_and_staleness() {
        let decision = |seconds: i64| {
            let annotation = ("podsecuritypolicy.policy.k8s.io/admit-policy".to_owned(), "p".to_owned());
            let mut decision = pb::AdmitResponse {
                allowed: true,
                revision: 7,
                audit_annotations: [annotation].into(),
                ..Default::default()
            };
            decision.staleness.get_or_insert_default().seconds = seconds;
            decided(decision, Messages::Explained)
        };
        let fresh = decision(60);
        assert_eq!(fresh.audit_annotations["admit-policy"], "p");
        assert_eq!(fresh.audit_annotations["revision"], "7");
        assert_eq!(fresh.audit_annotations.len(), 2, "{fresh:?}");
        assert!(fresh.warnings.is_empty());
        let stale = decision(61);
        assert_eq!(stale.audit_annotations["staleness"], "61s");
        assert!(stale.warnings[0].contains("61 s ago"));
    }
}
