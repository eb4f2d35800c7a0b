//! The server from outside: real sockets, free ports, manifests in temporary folders.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the report")]

mod admin;
mod cluster;
mod grpc;
mod process;
mod reload;
mod support;
