//! Real certificates, tokens that are signed here, and an API server of a test on loopback.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod api_server;
mod certificates;
mod cluster_keys;
mod issuer;
mod key_sets;
mod keys;
mod review;
mod rights;
