//! Static grants: `SUBJECT=CALL[,CALL]`.

use std::fmt;
use std::str::FromStr;

use gavel_engine::rbac::User;

use crate::Call;

/// Whom a grant is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The user of this name.
    User(String),
    /// Whoever is in this group.
    Group(String),
}

/// A right that is granted by configuration: `user:NAME=CALL,CALL`, `group:NAME=*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Whom it is for.
    pub subject: Subject,
    /// What they may call.
    pub calls: Vec<Call>,
}

/// Why a grant cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("grant {grant:?}: {why}")]
pub struct InvalidGrant {
    grant: String,
    why: String,
}

impl Grant {
    /// Whether it lets a user make a call.
    pub fn covers(&self, user: &User, call: Call) -> bool {
        let is_subject = match &self.subject {
            Subject::User(name) => *name == user.name,
            Subject::Group(name) => user.groups.contains(name),
        };
        is_subject && self.calls.contains(&call)
    }
}

/// Split at the last `=`: names may hold one (`CN=…` of an LDAP group), calls do not.
impl FromStr for Grant {
    type Err = InvalidGrant;

    fn from_str(grant: &str) -> Result<Self, InvalidGrant> {
        let invalid = |why: String| InvalidGrant { grant: grant.to_owned(), why };
        let (subject, calls) = grant.rsplit_once('=').ok_or_else(|| {
            invalid("it has to be SUBJECT=CALL[,CALL], such as user:alice=Admit".to_owned())
        })?;
        let subject = match subject.split_once(':') {
            Some((_, "")) => Err("the subject has no name".to_owned()),
            Some(("user", name)) => Ok(Subject::User(name.to_owned())),
            Some(("group", name)) => Ok(Subject::Group(name.to_owned())),
            _ => Err("the subject has to be user:NAME or group:NAME".to_owned()),
        };
        let calls = match calls {
            "*" => Ok(Call::ALL.to_vec()),
            calls => calls.split(',').map(|call| call.trim().parse()).collect(),
        };
        Ok(Self { subject: subject.map_err(invalid)?, calls: calls.map_err(invalid)? })
    }
}

/// As it is written.
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Grant { subject, calls } = self;
        match subject {
            Subject::User(name) => write!(f, "user:{name}=")?,
            Subject::Group(name) => write!(f, "group:{name}=")?,
        }
        if Call::ALL.iter().all(|call| calls.contains(call)) {
            return f.write_str("*");
        }
        let calls: Vec<_> = calls.iter().copied().map(Call::as_str).collect();
        f.write_str(&calls.join(","))
    }
}
