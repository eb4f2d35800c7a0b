//! Development only: cases with known answers, and who is asked them.
//!
//! [`cases`] reads every form of case file into [`Case`]s; a [`DecisionPoint`] answers them: the engine itself, a server
//! over gRPC, the command line; [`compare`] tells in what an answer differs. Every file runs through each of the three.

pub mod cases;
pub mod compare;
pub mod decision_point;
pub mod question;
pub mod run;

pub use cases::Case;
pub use decision_point::{CommandLine, DecisionPoint, Engine, Grpc};
