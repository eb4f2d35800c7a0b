//! Questions asked at a rate, or as fast as can be, and how long the answers took.
//!
//! [`run`] is the driver: it knows nothing of gRPC, so that scenarios ask what they like and check what they get.
//! [`Questions`] are made of manifests, [`Target`] is the connections they are asked by.

pub mod echo;
mod load;
pub mod process;
mod program;
mod questions;
mod results;
mod target;
pub mod telemetry_cost;

pub use echo::EchoClient;
pub use load::{Load, Pace, run};
pub use program::Program;
pub use questions::{Question, Questions};
pub use results::Results;
pub use target::{Target, TargetSettings};
