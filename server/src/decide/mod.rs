//! The wire's questions, answered from a snapshot: from the wire, ask the engine, to the wire.
//!
//! Conversions live here and nowhere else, one file a question, and take every message apart field by field, so that a
//! new field breaks the build until somebody thinks.

mod admit;
mod authorize;
mod flow;
mod flow_answer;
mod flow_results;
mod invalid;
mod pod;
mod write;

#[cfg(test)]
mod tests;

pub use admit::{admit, admit_all, admit_staged};
pub use authorize::{authorize, authorize_staged};
pub use flow::{Detail, check_flow, check_flow_in};
pub use flow_answer::FlowAnswer;
pub(crate) use flow_results::{FlowResults, Whole};
pub(crate) use invalid::invalid;

/// Is told how far an answer has come. There is no clock in here: whoever wants to know how long something took looks at
/// its own.
pub trait Stages {
    /// The question has been read from the wire.
    fn parsed(&mut self) {}
    /// It has been decided, and is about to be put on the wire.
    fn decided(&mut self) {}
}

/// Nobody wants to know.
impl Stages for () {}
