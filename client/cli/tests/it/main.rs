//! The program, from outside: what it prints, and its exit codes.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod bad_input;
mod chart;
mod commands;
mod deploy;
mod golden;
mod secured;
mod support;
