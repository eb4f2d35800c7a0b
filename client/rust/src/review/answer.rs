//! From a decision to an AdmissionReview with its response.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gavel_proto::v1 as pb;
use serde::Serialize;

use super::{API_VERSION, KIND};

/// What an AdmissionReview is answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// That of the request.
    pub uid: String,
    /// Whether the request may go on.
    pub allowed: bool,
    /// HTTP status code for the user; said only of what is refused.
    pub code: i32,
    /// `metav1.StatusReason`, such as `Forbidden`; said only of what is refused.
    pub reason: &'static str,
    /// What the user reads; said only of what is refused.
    pub message: String,
    /// JSON Patch; empty when nothing changes.
    pub patch: Vec<u8>,
    /// Shown to the user by kubectl.
    pub warnings: Vec<String>,
    /// Written to the API server's audit log.
    pub audit_annotations: BTreeMap<String, String>,
}

impl From<pb::AdmitResponse> for Answer {
    /// The decision as it is, in Kubernetes' words.
    fn from(decision: pb::AdmitResponse) -> Self {
        let mut audit_annotations: BTreeMap<_, _> = decision.audit_annotations.into_iter().collect();
        // Leads from the API server's audit log to the server's decision log and traces.
        if !decision.decision_id.is_empty() {
            audit_annotations.insert("decision-id".to_owned(), decision.decision_id);
        }
        Self {
            uid: decision.uid,
            allowed: decision.allowed,
            code: decision.code,
            // A decision refuses in one way alone; what could not be asked is answered by who asked.
            reason: "Forbidden",
            message: decision.message,
            patch: decision.patch,
            warnings: decision.warnings,
            audit_annotations,
        }
    }
}

impl Answer {
    /// The AdmissionReview as JSON, with its response alone.
    ///
    /// # Errors
    /// None that is known of: everything in it is text.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let has_patch = self.allowed && !self.patch.is_empty();
        serde_json::to_string(&Review {
            api_version: API_VERSION,
            kind: KIND,
            response: Response {
                uid: &self.uid,
                allowed: self.allowed,
                status: (!self.allowed).then_some(Status {
                    status: "Failure",
                    message: &self.message,
                    reason: self.reason,
                    code: self.code,
                }),
                patch_type: has_patch.then_some("JSONPatch"),
                patch: has_patch.then(|| BASE64.encode(&self.patch)),
                warnings: &self.warnings,
                audit_annotations: &self.audit_annotations,
            },
        })
    }
}

/// `AdmissionReview`, with its response alone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: &'a BTreeMap<String, String>,
}

/// `metav1.Status` of a refusal.
#[derive(Serialize)]
struct Status<'a> {
    status: &'static str,
    message: &'a str,
    reason: &'static str,
    code: i32,
}
