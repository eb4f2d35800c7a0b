//! The shell around the engine: configuration, gRPC services, publisher.
//!
//! - [`decide`] answers the wire's questions from a snapshot, without a wire: services and command line share it.
//! - [`publisher`] holds the current snapshot, [`freshness`] how fresh it is, [`status`] how the sources are.
//! - [`manifests`] or [`cluster`] follows the source and has changes published.
//! - `grpc` and `admin` are what the world sees, `metrics` and `decision_log` what the operator sees.
//! - [`run`] wires them up: what `main` calls, and what tests start on port 0.

mod admin;
mod cluster;
pub mod config;
pub mod decide;
mod decision_log;
pub mod freshness;
mod grpc;
mod keeper;
mod limits;
mod manifests;
mod metrics;
pub mod publisher;
pub mod run;
pub mod status;
mod wiring;

pub use config::Config;
#[doc(hidden)]
pub use grpc::Direct;
pub use run::{Running, Telling, start, start_telling};
