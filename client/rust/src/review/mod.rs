//! `AdmissionReview` of `admission.k8s.io/v1`: read into the question of `Admit`, and answered.
//!
//! Only what the question needs is decoded. The object and the old object are never looked at here: their bytes go on
//! as they came, sharing the memory of the review they came in.

mod answer;
mod read;

#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use read::{ReadError, read};

/// `apiVersion` of the reviews that are read and written.
pub const API_VERSION: &str = "admission.k8s.io/v1";
/// `kind` of the reviews that are read and written.
pub const KIND: &str = "AdmissionReview";
