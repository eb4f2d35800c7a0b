//! The webhook from outside: HTTPS on free ports, in front of a real server on manifests in temporary folders.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the report")]

mod api_server;
mod bad_input;
mod callers;
mod certificates;
mod certified;
mod process;
mod secured;
mod self_issued;
mod settings;
mod support;
mod traces;
mod tutorial;
mod unavailable;
