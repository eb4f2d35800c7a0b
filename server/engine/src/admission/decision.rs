//! The answer: what was decided, why, and what it changes.

use super::request::Phase;
use crate::rbac::Grant;

/// A stable code of why a request was decided as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A policy that the requester may use admits the object.
    Allowed,
    /// Not a request that policies look at.
    NotApplicable,
    /// There is no policy, or none that can be built.
    NoPolicies,
    /// No policy that the requester may use has anything to say: the list of errors is empty.
    NoUsablePolicy,
    /// Every policy that the requester may use has violations, or would have to change the object.
    Violations,
    /// The policies that the requester may use would have to change the object, which the validate phase may not do.
    /// Kubernetes' list of errors is empty then, too; [`Decision::unmet`] tells what it is about.
    NeedsChanges,
}

/// Answer to an admission question.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Whether the object is admitted.
    pub allowed: bool,
    /// Why, as a code.
    pub reason: Reason,
    /// The half that decided: [`Phase::Mutate`] or [`Phase::Validate`].
    pub decided_in: Phase,
    /// The policy chosen in the mutate phase, which goes into the annotation `kubernetes.io/psp`.
    pub mutating_policy: Option<String>,
    /// The policy chosen in the validate phase.
    pub validating_policy: Option<String>,
    /// The words the API server would have used: `pods "web" is forbidden: PodSecurityPolicy: …`; empty when admitted.
    pub message: String,
    /// What each usable policy objects to, in the order of the policies' names.
    pub violations: Vec<Violation>,
    /// What policies that were passed over would have to fill in first, in the words with which they would object.
    pub unmet: Vec<Violation>,
    /// Leads from the object to the admitted one. RFC 6902.
    pub patch: Vec<PatchOperation>,
    /// What the asker should know besides, for instance policies that could not be used.
    pub warnings: Vec<String>,
    /// Audit annotations as the admission plugin sets them: `podsecuritypolicy.policy.k8s.io/admit-policy`, ….
    pub audit_annotations: Vec<(String, String)>,
    /// How it came about, policy by policy; only on demand.
    pub ledger: Option<Ledger>,
}

impl Decision {
    /// The policy that admitted the object: that of the mutate phase where there was one.
    pub fn policy(&self) -> Option<&str> {
        self.mutating_policy.as_deref().or(self.validating_policy.as_deref()).filter(|_| self.allowed)
    }
}

/// One RFC 6902 operation.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct PatchOperation {
    /// `add`, `replace` or `remove`.
    pub op: &'static str,
    /// JSON Pointer.
    pub path: String,
    /// Absent for `remove`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
}

/// Kubernetes' class of a field error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViolationKind {
    /// `Invalid value: VALUE: DETAIL`
    Invalid,
    /// `Required value: DETAIL`
    Required,
    /// `Forbidden: DETAIL`
    Forbidden,
}

impl ViolationKind {
    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            ViolationKind::Invalid => "Invalid value",
            ViolationKind::Required => "Required value",
            ViolationKind::Forbidden => "Forbidden",
        }
    }
}

/// One field that one policy objects to.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// Name of the policy.
    pub policy: String,
    /// The control: `privileged`, `hostPorts`, `runAsUser`, ….
    pub control: &'static str,
    /// Path of the field, in Kubernetes' (at times irregular) words.
    pub field: String,
    /// Class of the error.
    pub kind: ViolationKind,
    /// The value, as Go prints it; only for [`ViolationKind::Invalid`].
    pub value: Option<String>,
    /// The rest of the message.
    pub detail: String,
    /// What would satisfy this policy, in a sentence.
    pub help: String,
}

/// `field.Error.Error()` of `k8s.io/apimachinery`: `FIELD: KIND: VALUE: DETAIL`.
impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.kind.as_str())?;
        if let Some(value) = &self.value {
            write!(f, ": {value}")?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

/// How a decision came about, policy by policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// In the order in which they were tried.
    pub entries: Vec<LedgerEntry>,
    /// Why the chosen policy won, or why none did.
    pub why: String,
    /// The pod's service account, as asked for.
    pub service_account: Option<String>,
}

/// What came of one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry {
    /// Its name.
    pub policy: String,
    /// Through what the requester may use it; `None`: it may not.
    pub grant: Option<UseGrant>,
    /// What it says of the object.
    pub outcome: Outcome,
    /// Whether it decided.
    pub chosen: bool,
}

/// A grant of the verb `use`, and to whom of the two that are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseGrant {
    /// `service account` (asked first) or `user`.
    pub through: &'static str,
    /// The binding.
    pub grant: Grant,
}

/// What a policy says of an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Admits it as it is.
    Admits,
    /// Admits it with these changes. In the validate phase such a policy is passed over silently.
    AdmitsWithChanges(Vec<PatchOperation>),
    /// Has violations, and would make these changes before it looks.
    Refuses {
        /// What it objects to.
        violations: Vec<Violation>,
        /// What it would fill in.
        patch: Vec<PatchOperation>,
    },
    /// Cannot be built, and is skipped: why.
    Unusable(String),
}
