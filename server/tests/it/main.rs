//! The server from outside: real sockets, free ports, manifests in temporary folders.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the report")]

mod access;
mod admin;
mod batch;
mod certificates;
mod cluster;
mod config;
mod decision_log;
mod drain;
mod grpc;
mod limits;
mod metrics;
mod node_pods;
mod process;
mod reload;
mod support;
mod tokens;
mod traces;
