//! What can go wrong, and what to do about it.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::balanced::Attempts;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be read.
    #[error("`{address}` is not an address: use HOST:PORT, http://HOST:PORT or unix:PATH")]
    Address {
        /// As given.
        address: String,
    },
    /// Nobody answers at the address. Trying again later may help.
    #[error("cannot connect to `{address}`: is a server listening there?")]
    Connect {
        /// As given.
        address: String,
        /// What the connection says.
        source: tonic::transport::Error,
    },
    /// The question cannot be answered: correct it, asking again does not help.
    #[error("{message}")]
    Invalid {
        /// What is wrong.
        message: String,
        /// The fields that are to blame.
        violations: Vec<FieldViolation>,
    },
    /// The server is not ready, or overloaded. Ask again later.
    #[error("the server cannot answer now: {0}")]
    Unavailable(String),
    /// No answer came in time. Asking again is safe.
    #[error("no answer within {0:?}")]
    Deadline(Duration),
    /// No replica answered: see which were asked, and why they did not.
    #[error("{0}")]
    Attempts(Box<Attempts>),
    /// Anything else.
    #[error("{}: {}", .0.code(), .0.message())]
    Status(Box<Status>),
}

/// A field of the request that is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

impl Error {
    /// Whether asking again later may help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Connect { .. } | Error::Unavailable(_) | Error::Deadline(_) => true,
            Error::Attempts(attempts) => attempts.is_unavailable(),
            Error::Address { .. } | Error::Invalid { .. } | Error::Status(_) => false,
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::InvalidArgument => {
                Error::Invalid { message: status.message().to_owned(), violations: violations(&status) }
            }
            Code::Unavailable | Code::ResourceExhausted => Error::Unavailable(status.message().to_owned()),
            _ => Error::Status(Box::new(status)),
        }
    }
}

fn violations(status: &Status) -> Vec<FieldViolation> {
    let details = status.get_details_bad_request();
    details
        .into_iter()
        .flat_map(|details| details.field_violations)
        .map(|violation| FieldViolation { field: violation.field, description: violation.description })
        .collect()
}
