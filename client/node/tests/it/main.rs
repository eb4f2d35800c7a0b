//! The agent as a program, as far as it goes without packets: those are in `deploy/e2e`.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod settings;
