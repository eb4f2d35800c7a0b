//! What can go wrong, and what to do about it.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::balanced::Attempts;
use crate::connect::{Address, Connection};
use crate::security::words;

/// A server that asks for more patience than this gets no more: another one may have taken its place by then.
const MOST_PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be read.
    #[error("`{address}` is not an address: use HOST:PORT, https://HOST:PORT, http://HOST:PORT or unix:PATH")]
    Address {
        /// As given.
        address: String,
    },
    /// Certificates, tokens or the settings of them cannot be used, or do not go with the address.
    #[error("{0}")]
    Security(String),
    /// Nobody answers at the address, or is not who it should be. Trying again later may help.
    #[error("cannot connect to `{address}`: {why}")]
    Connect {
        /// As given.
        address: String,
        /// What the connection says.
        why: String,
    },
    /// The question cannot be answered: correct it, asking again does not help.
    #[error("{message}")]
    Invalid {
        /// What is wrong.
        message: String,
        /// The fields that are to blame.
        violations: Vec<FieldViolation>,
    },
    /// The server does not take the credentials, or there are none: UNAUTHENTICATED.
    #[error("the server does not know who asks: {0}")]
    Unauthenticated(String),
    /// The server knows who asks, and does not let them: PERMISSION_DENIED.
    #[error("the server does not let this caller ask: {0}")]
    Forbidden(String),
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
            Error::Address { .. }
            | Error::Security(_)
            | Error::Invalid { .. }
            | Error::Unauthenticated(_)
            | Error::Forbidden(_)
            | Error::Status(_) => false,
        }
    }

    /// Of a status that came by a connection.
    pub(crate) fn new(status: &Status, by: &Connection) -> Self {
        let message = status.message().to_owned();
        // What a server says has no source; what has one comes from the connection.
        if std::error::Error::source(status).is_some() {
            return Error::Unavailable(by.describe(status));
        }
        match status.code() {
            Code::InvalidArgument => Error::Invalid { message, violations: violations(status) },
            Code::Unavailable | Code::ResourceExhausted => Error::Unavailable(message),
            Code::Unauthenticated => Error::Unauthenticated(message),
            Code::PermissionDenied => Error::Forbidden(message),
            _ => Error::Status(Box::new(status.clone())),
        }
    }

    pub(crate) fn connect(address: &Address, error: &tonic::transport::Error) -> Self {
        let why = words::innermost(error);
        let hint = if why.contains("refused") || why.contains("No such file") {
            ": is a server listening there?"
        } else {
            ""
        };
        Error::Connect { address: address.to_string(), why: format!("{why}{hint}") }
    }
}

/// How long the server wants not to be asked: `google.rpc.RetryInfo`.
pub(crate) fn retry_after(status: &Status) -> Option<Duration> {
    let delay = status.get_details_retry_info()?.retry_delay?;
    Some(delay.min(MOST_PATIENCE))
}

fn violations(status: &Status) -> Vec<FieldViolation> {
    let details = status.get_details_bad_request();
    details
        .into_iter()
        .flat_map(|details| details.field_violations)
        .map(|violation| FieldViolation { field: violation.field, description: violation.description })
        .collect()
}
