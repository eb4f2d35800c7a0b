//! The shell around the engine: configuration, gRPC services, publisher.
//!
//! - [`decide`] answers the wire's questions from a snapshot, without a wire: the services and the command line share it.
//! - `publisher` folds a source's changes into the next snapshot and swaps it in.
//! - `grpc` and `admin` are what the world sees.
//! - [`run`] wires them up: what `main` calls, and what tests start on port 0.

pub mod decide;
