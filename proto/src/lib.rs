//! The wire contract of Gavel, `package gavel.v1`, and nothing that thinks.
//!
//! Generated from `proto/gavel/v1/*.proto`. Every message also has the protobuf JSON mapping (serde), which is
//! what the command line reads and writes.

/// Package `gavel.v1`.
pub mod v1 {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::allow_attributes_without_reason,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::needless_pass_by_value,
        clippy::redundant_closure_for_method_calls,
        clippy::semicolon_if_nothing_returned,
        clippy::uninlined_format_args,
        reason = "generated code"
    )]
    tonic::include_proto!("gavel.v1");
    include!(concat!(env!("OUT_DIR"), "/gavel.v1.serde.rs"));
}

/// The encoded `FileDescriptorSet` of package `gavel.v1`, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/gavel.v1.bin"));
