//! The question, and why it cannot be answered.

use std::net::IpAddr;

use crate::object::{Labels, Protocol};

/// One end of a connection, as asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum End<'a> {
    /// An address, that of a pod or any other.
    Ip(IpAddr),
    /// A pod by name.
    Pod {
        /// Its namespace.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
        /// Which of its addresses; unset: the first of a family that both ends have.
        ip: Option<IpAddr>,
    },
    /// The pods of a workload.
    Workload {
        /// Its namespace.
        namespace: &'a str,
        /// Its kind, as in a manifest.
        kind: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// A pod that does not exist yet.
    Labels {
        /// Its namespace.
        namespace: &'a str,
        /// Its labels.
        labels: &'a Labels,
    },
}

/// The question: may `source` open a connection to `port` of `destination`?
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRequest<'a> {
    /// Who opens the connection.
    pub source: End<'a>,
    /// Who is called.
    pub destination: End<'a>,
    /// Over what.
    pub protocol: Protocol,
    /// Destination port, from 1.
    pub port: u16,
}

/// Why a flow question cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{end}: {message}")]
pub struct FlowError {
    /// `source`, `destination` or `port`, with the field inside where there is one: `source.pod`.
    pub end: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl FlowError {
    pub(super) fn new(end: impl Into<String>, message: impl Into<String>) -> Self {
        Self { end: end.into(), message: message.into() }
    }
}
