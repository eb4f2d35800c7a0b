//! What Kubernetes' API server refuses, one file a kind. Never stricter: what it took must be taken here.
//!
//! Messages are in the words of Kubernetes where those help, and name the value.

pub mod metadata;
pub mod names;
pub mod pod_security_policy;
pub mod rbac;
pub mod selector;

use std::fmt;

use crate::field::FieldError;

/// What is wrong with an object, collected: a reader wants all of it at once.
#[derive(Clone, Debug, Default)]
pub struct Errors(Vec<FieldError>);

impl Errors {
    /// `path` is wrong in this way.
    pub fn push(&mut self, path: impl fmt::Display, message: impl Into<String>) {
        self.0.push(FieldError::new(path, message));
    }

    /// The value at `path` is wrong in this way.
    pub fn invalid(&mut self, path: impl fmt::Display, value: &str, message: impl fmt::Display) {
        self.push(path, format!("{value:?} is not valid: {message}"));
    }

    /// The value at `path` is none of `supported`.
    pub fn unsupported(&mut self, path: impl fmt::Display, value: &str, supported: &[&str]) {
        let supported = supported.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", ");
        self.push(path, format!("{value:?} is not supported; supported values are {supported}"));
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything so far; `Ok` when that is nothing.
    ///
    /// # Errors
    /// With everything that was pushed.
    pub fn into_result(self) -> Result<(), Vec<FieldError>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }

    /// Everything so far.
    pub fn into_vec(self) -> Vec<FieldError> {
        self.0
    }
}

impl Extend<FieldError> for Errors {
    fn extend<T: IntoIterator<Item = FieldError>>(&mut self, errors: T) {
        self.0.extend(errors);
    }
}
