//! Development only: cases with known answers, and who is asked them.
//!
//! [`cases`] reads every form of case file into [`Case`]s; a [`DecisionPoint`] answers them: the engine itself, a server
//! over gRPC, the command line, each of the former also asked with [messages](typed) instead of JSON; [`compare`] tells in
//! what an answer differs. Every file runs through each of them.

pub mod cases;
pub mod compare;
pub mod decision_point;
pub mod question;
pub mod run;
pub mod typed;

pub use cases::Case;
pub use decision_point::{CommandLine, DecisionPoint, Engine, Grpc};
pub use typed::Typed;
