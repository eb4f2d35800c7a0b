//! The client against servers of its own, on free ports of this machine.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the report")]

mod balanced;
mod certificates;
mod closing;
mod fake;
mod patience;
mod tls;
mod token;
mod trace;
