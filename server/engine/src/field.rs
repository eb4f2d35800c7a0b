//! Paths of fields and what is wrong with them, in Kubernetes' notation: `spec.ingress[0].from[1].ipBlock.cidr`.

use std::fmt;

/// What is wrong with one field of one object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{message}", path, if path.is_empty() { "" } else { ": " })]
pub struct FieldError {
    /// Path of the field; empty when the object as a whole is meant.
    pub path: String,
    /// What is wrong, and where it helps, what would be right.
    pub message: String,
}

impl FieldError {
    /// An error of the field at `path`.
    pub fn new(path: impl fmt::Display, message: impl Into<String>) -> Self {
        Self { path: path.to_string(), message: message.into() }
    }
}
