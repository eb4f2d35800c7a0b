//! Whether a caller may make a call: static grants, or RBAC of the snapshot.

use gavel_access::{Authenticator, Call, Caller, Refusal, Rights};
use gavel_engine::Snapshot;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::sync::Arc;
use tonic::Status;

/// Who is let in.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) authenticator: Authenticator,
    pub(crate) rights: Rights,
}

impl Access {
    /// Whom a request's token names.
    ///
    /// # Errors
    /// UNAUTHENTICATED without a good one; UNAVAILABLE when nobody can tell.
    pub(super) async fn token(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Status> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Status::unauthenticated(
                "say who you are, once: by a client certificate, or by `authorization: Bearer TOKEN`",
            ));
        };
        let token = value.to_str().ok().and_then(bearer).ok_or_else(|| {
            Status::unauthenticated(
                "the authorization header has to be `Bearer TOKEN`, nothing else is taken",
            )
        })?;
        self.authenticator.token(token).await.map_err(refused)
    }

    /// # Errors
    /// PERMISSION_DENIED; UNAVAILABLE while there is no snapshot that might grant it.
    pub(super) fn check(
        &self,
        caller: &Caller,
        call: Call,
        snapshot: Option<&Snapshot>,
    ) -> Result<(), Status> {
        if caller.may(&self.rights, call, snapshot) {
            return Ok(());
        }
        if snapshot.is_none() {
            return Err(Status::unavailable(
                "not ready: who may ask is known once the first snapshot is there",
            ));
        }
        let (verb, resource) = call.attributes();
        let user = &caller.user.name;
        Err(Status::permission_denied(format!(
            "user {user:?} may not {verb} {resource} in API group gavel.dev: bind a ClusterRole with \
             apiGroups: [gavel.dev], resources: [{resource}], verbs: [{verb}], or start the server with \
             --grant 'user:{user}={}'",
            call.as_str()
        )))
    }
}

/// The token of an authorization header; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A refusal on the wire.
pub(super) fn refused(refusal: Refusal) -> Status {
    match refusal {
        Refusal::Unauthenticated(why) => Status::unauthenticated(why),
        Refusal::Unavailable(why) => Status::unavailable(why),
    }
}
