//! Who asks, and why somebody is nobody.

use std::time::SystemTime;

use gavel_engine::Snapshot;
use gavel_engine::rbac::User;

use crate::{CachedRights, Call, Rights};

/// The group of everybody who has said who they are (`user.AllAuthenticated` of `k8s.io/apiserver`).
pub(crate) const AUTHENTICATED: &str = "system:authenticated";

/// Who asks.
#[derive(Debug)]
pub struct Caller {
    /// Name and groups.
    pub user: User,
    /// How it is known.
    pub method: Method,
    /// Until when it is known; none: for good.
    pub expires: Option<SystemTime>,
    rights: CachedRights,
}

/// How it is known who a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By a client certificate.
    Certificate,
    /// By a token.
    Token,
    /// By nothing: whoever can connect is trusted.
    Local,
}

/// Why it is not known who a caller is. The words are for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What came is no good, or names nobody.
    #[error("{0}")]
    Unauthenticated(String),
    /// Nobody can tell at the moment; it may be asked again.
    #[error("{0}")]
    Unavailable(String),
}

impl Caller {
    /// A caller of this name and these groups.
    pub fn new(user: User, method: Method, expires: Option<SystemTime>) -> Self {
        Self { user, method, expires, rights: CachedRights::default() }
    }

    /// Whether the caller may make a call. Cheap as long as the snapshot's revision stays; `rights` have to be the same
    /// each time.
    pub fn may(&self, rights: &Rights, call: Call, snapshot: Option<&Snapshot>) -> bool {
        self.rights.may(rights, &self.user, call, snapshot)
    }
}

/// Adds the group of everybody who has said who they are, as `AuthenticatedGroupAdder` of `k8s.io/apiserver` does.
pub(crate) fn authenticated(mut user: User) -> User {
    if !user.groups.iter().any(|group| group == AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    user
}
