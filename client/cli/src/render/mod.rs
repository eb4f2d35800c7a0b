//! Answers as text for people. A refusal reads like an error of a good compiler: what, which policy, which field, and
//! what would help.

pub(crate) mod admission;
pub(crate) mod flow;
pub(crate) mod style;
