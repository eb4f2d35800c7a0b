//! `Authorize`.

use gavel_engine::Snapshot;
use gavel_engine::rbac::{Action, Grant, User};
use gavel_proto::v1 as pb;
use tonic::Status;

use super::Stages;
use super::invalid::invalid;

/// Answers `Authorize`.
///
/// # Errors
/// INVALID_ARGUMENT when the request names nobody, or not exactly one thing to do.
pub fn authorize(
    snapshot: &Snapshot,
    request: &pb::AuthorizeRequest,
) -> Result<pb::AuthorizeResponse, Status> {
    authorize_staged(snapshot, request, &mut ())
}

/// The same, and tells when the question has been read, and when it has been decided.
///
/// # Errors
/// As [`authorize`].
pub fn authorize_staged(
    snapshot: &Snapshot,
    request: &pb::AuthorizeRequest,
    stages: &mut impl Stages,
) -> Result<pb::AuthorizeResponse, Status> {
    // RBAC looks at neither uid nor extra.
    let pb::AuthorizeRequest {
        user,
        groups,
        uid: _,
        extra: _,
        resource_attributes,
        non_resource_attributes,
        // Whoever loaded the snapshot has seen to it.
        consistency: _,
    } = request;
    if user.is_empty() && groups.is_empty() {
        return Err(invalid("user", "at least one of user or groups must be specified"));
    }
    let action = match (resource_attributes, non_resource_attributes) {
        (Some(attributes), None) => {
            let pb::ResourceAttributes { namespace, verb, group, version: _, resource, subresource, name } =
                attributes;
            Action::Resource { verb, namespace, api_group: group, resource, subresource, name }
        }
        (None, Some(pb::NonResourceAttributes { path, verb })) => Action::NonResource { verb, path },
        _ => {
            return Err(invalid(
                "resourceAttributes",
                "exactly one of resourceAttributes and nonResourceAttributes must be specified",
            ));
        }
    };
    stages.parsed();
    let answer = snapshot.authorize(&User { name: user.clone(), groups: groups.clone() }, &action);
    stages.decided();
    Ok(pb::AuthorizeResponse {
        allowed: answer.allowed,
        denied: false,
        reason: answer.reason,
        revision: snapshot.revision(),
        grant: answer.grant.map(|grant| to_grant(grant, "")),
        staleness: None,
        decision_id: String::new(),
    })
}

/// A grant on the wire. `through` tells for whom of several it was found.
pub(super) fn to_grant(grant: Grant, through: &str) -> pb::Grant {
    let Grant { binding_kind, binding, namespace, role_kind, role, subject } = grant;
    let binding = if namespace.is_empty() { binding } else { format!("{namespace}/{binding}") };
    pb::Grant {
        granted: true,
        through: through.to_owned(),
        binding_kind: binding_kind.to_owned(),
        binding,
        role_kind,
        role,
        subject,
    }
}
