//! `Admit`.

use gavel_engine::Snapshot;
use gavel_engine::admission::{
    AdmitRequest, Decision, InvalidRequest, Ledger, LedgerEntry, Operation, Outcome, PatchOperation, Phase,
    Reason, Violation,
};
use gavel_engine::rbac::User;
use gavel_proto::v1 as pb;
use tonic::Status;

use super::Stages;
use super::authorize::to_grant;
use super::invalid::invalid;
use super::pod;

/// Answers `Admit`.
///
/// # Errors
/// INVALID_ARGUMENT when the request or its object cannot be read.
pub fn admit(snapshot: &Snapshot, request: &pb::AdmitRequest) -> Result<pb::AdmitResponse, Status> {
    admit_staged(snapshot, request, &mut ())
}

/// The same, and tells when the question has been read, and when it has been decided.
///
/// # Errors
/// As [`admit`].
pub fn admit_staged(
    snapshot: &Snapshot,
    request: &pb::AdmitRequest,
    stages: &mut impl Stages,
) -> Result<pb::AdmitResponse, Status> {
    // A policy looks at neither uid nor extra of a user.
    let pb::AdmitRequest {
        uid,
        operation: _,
        namespace,
        name,
        user,
        object: _,
        old_object: _,
        phase: _,
        explain,
        subresource,
        resource,
        // Whoever loaded the snapshot has seen to it.
        consistency: _,
        set_seccomp_fields,
        pod: _,
        old_pod: _,
    } = request;
    let operation = match request.operation() {
        pb::Operation::Create => Operation::Create,
        pb::Operation::Update => Operation::Update,
        pb::Operation::Delete => Operation::Delete,
        pb::Operation::Connect => Operation::Connect,
        pb::Operation::Unspecified => {
            return Err(invalid("operation", "must be CREATE, UPDATE, DELETE or CONNECT"));
        }
    };
    let phase = match pb::Phase::try_from(request.phase) {
        Ok(pb::Phase::Unspecified | pb::Phase::MutateAndValidate) => Phase::MutateAndValidate,
        Ok(pb::Phase::Mutate) => Phase::Mutate,
        Ok(pb::Phase::Validate) => Phase::Validate,
        Err(_) => return Err(invalid("phase", "must be MUTATE_AND_VALIDATE, MUTATE or VALIDATE")),
    };
    let Some(pb::UserInfo { username, groups, uid: _, extra: _ }) = user else {
        return Err(invalid("user", "must be set: who asks for the object?"));
    };
    let (group, resource) = match resource {
        None => ("", "pods"),
        Some(pb::GroupVersionResource { group, version: _, resource }) => (group.as_str(), resource.as_str()),
    };
    let object = pod::object(request)?;
    let user = User { name: username.clone(), groups: groups.clone() };
    // The object's JSON is read by the engine, as far as policies look at it: that is part of deciding.
    stages.parsed();
    let decision = snapshot
        .admit(AdmitRequest {
            operation,
            group,
            resource,
            subresource,
            namespace,
            name,
            user: &user,
            object,
            phase,
            explain: *explain,
            sets_seccomp_fields: *set_seccomp_fields,
        })
        .map_err(|InvalidRequest { field, message }| invalid(field, message))?;
    stages.decided();
    Ok(to_response(uid.clone(), snapshot.revision(), decision))
}

fn to_response(uid: String, revision: u64, decision: Decision) -> pb::AdmitResponse {
    let policy = decision.policy().unwrap_or_default().to_owned();
    let Decision {
        allowed,
        reason,
        decided_in,
        mutating_policy: _,
        validating_policy: _,
        message,
        violations,
        unmet,
        patch,
        warnings,
        audit_annotations,
        ledger,
    } = decision;
    let reason = match reason {
        Reason::Allowed => pb::AdmitReason::Allowed,
        Reason::NotApplicable => pb::AdmitReason::NotApplicable,
        Reason::NoPolicies => pb::AdmitReason::NoPolicies,
        Reason::NoUsablePolicy => pb::AdmitReason::NoUsablePolicy,
        Reason::Violations => pb::AdmitReason::Violations,
        Reason::NeedsChanges => pb::AdmitReason::NeedsChanges,
    };
    let decided_in = match decided_in {
        Phase::Mutate => pb::Phase::Mutate,
        Phase::Validate | Phase::MutateAndValidate => pb::Phase::Validate,
    };
    pb::AdmitResponse {
        uid,
        allowed,
        policy,
        code: if allowed { 200 } else { 403 },
        reason: reason.into(),
        message,
        violations: violations.into_iter().map(to_violation).collect(),
        unmet: unmet.into_iter().map(to_violation).collect(),
        patch: to_patch(&patch),
        warnings,
        audit_annotations: audit_annotations.into_iter().collect(),
        revision,
        ledger: ledger.map(to_ledger),
        decided_in: decided_in.into(),
        staleness: None,
        decision_id: String::new(),
    }
}

fn to_violation(violation: Violation) -> pb::Violation {
    let message = violation.to_string();
    let Violation { policy, control, field, kind, value, detail, help } = violation;
    pb::Violation {
        policy,
        field,
        kind: kind.as_str().to_owned(),
        value: value.unwrap_or_default(),
        detail,
        message,
        control: control.to_owned(),
        help,
    }
}

/// A JSON Patch as bytes; no bytes when nothing changes.
fn to_patch(operations: &[PatchOperation]) -> Vec<u8> {
    if operations.is_empty() {
        return Vec::new();
    }
    // Strings and values of JSON: there is nothing that could fail to be written.
    serde_json::to_vec(operations).unwrap_or_default()
}

fn to_ledger(ledger: Ledger) -> pb::Ledger {
    let Ledger { entries, why, service_account } = ledger;
    pb::Ledger {
        entries: entries.into_iter().map(to_entry).collect(),
        why,
        service_account: service_account.unwrap_or_default(),
    }
}

fn to_entry(entry: LedgerEntry) -> pb::LedgerEntry {
    let LedgerEntry { policy, grant, outcome, chosen } = entry;
    let (outcome, violations, patch, detail) = match outcome {
        Outcome::Admits => (pb::PolicyOutcome::Admits, Vec::new(), Vec::new(), String::new()),
        Outcome::AdmitsWithChanges(patch) => {
            (pb::PolicyOutcome::AdmitsWithChanges, Vec::new(), patch, String::new())
        }
        Outcome::Refuses { violations, patch } => {
            (pb::PolicyOutcome::Refuses, violations, patch, String::new())
        }
        Outcome::Unusable(detail) => (pb::PolicyOutcome::Unusable, Vec::new(), Vec::new(), detail),
    };
    pb::LedgerEntry {
        policy,
        grant: Some(grant.map_or_else(pb::Grant::default, |grant| to_grant(grant.grant, grant.through))),
        outcome: outcome.into(),
        violations: violations.into_iter().map(to_violation).collect(),
        patch: to_patch(&patch),
        detail,
        chosen,
    }
}

/// The answer when no evaluator is switched on: everything is admitted, and the answer says why.
pub fn admit_all(snapshot: &Snapshot, request: &pb::AdmitRequest) -> pb::AdmitResponse {
    pb::AdmitResponse {
        uid: request.uid.clone(),
        allowed: true,
        code: 200,
        reason: pb::AdmitReason::NotApplicable.into(),
        revision: snapshot.revision(),
        decided_in: pb::Phase::Validate.into(),
        ..Default::default()
    }
}
