//! Real certificates, real handshakes, real files.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod authority;
mod files;
mod following;
mod handshakes;
