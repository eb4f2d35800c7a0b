//! The programs, run as their users run them.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod echo;
