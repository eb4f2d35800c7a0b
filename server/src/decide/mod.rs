//! The wire's questions, answered from a snapshot: from the wire, ask the engine, to the wire.
//!
//! Conversions live here and nowhere else, one file a question, and take every message apart field by field, so that a
//! new field breaks the build until somebody thinks.

mod admit;
mod authorize;
mod flow;
mod invalid;

#[cfg(test)]
mod tests;

pub use admit::{admit, admit_all};
pub use authorize::authorize;
pub use flow::check_flow;
pub(crate) use invalid::invalid;
