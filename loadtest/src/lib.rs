//! Questions asked at a rate, or as fast as can be, and how long the answers took.
//!
//! [`run`] is the driver: it knows nothing of gRPC, so that scenarios ask what they like and check what they get;
//! [`run_streams`] is that of streams. [`Questions`] are made of manifests, or [read](lines) as `generate` wrote them;
//! [`Target`] is the connections they are asked by. [`echo`] is the floor.

pub mod echo;
pub mod lines;
mod load;
pub mod peers;
pub mod process;
mod program;
mod questions;
pub mod report;
mod results;
mod stream;
mod target;
pub mod telemetry_cost;

pub use echo::EchoClient;
pub use load::{Load, Pace, run};
pub use program::Program;
pub use questions::{Question, Questions};
pub use results::Results;
pub use stream::{Dialogue, Messages, Opening, run_streams};
pub use target::{FlowStream, Target, TargetSettings, flows_answered};
