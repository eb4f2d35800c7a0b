//! The webhook from outside: HTTPS on free ports, in front of a real server on manifests in temporary folders.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the report")]

mod api_server;
mod bad_input;
mod certificates;
mod process;
mod self_issued;
mod support;
mod tutorial;
mod unavailable;
