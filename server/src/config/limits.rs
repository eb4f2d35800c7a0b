//! Settings: how much callers may have.

use std::num::NonZeroU32;

use clap::Args;
use clap::builder::{RangedU64ValueParser, TypedValueParser as _};

/// How much callers may have, of memory, connections and time.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Largest request taken, in bytes
    #[arg(
        long,
        value_name = "BYTES",
        env = "GAVEL_MAX_REQUEST_BYTES",
        default_value_t = MAX_REQUEST_BYTES,
        value_parser = up_to(MESSAGE)
    )]
    pub max_request_bytes: usize,

    /// Largest object taken in Admit, in bytes; an API server takes none above 3 MiB
    #[arg(
        long,
        value_name = "BYTES",
        env = "GAVEL_MAX_OBJECT_BYTES",
        default_value_t = MAX_OBJECT_BYTES,
        value_parser = up_to(MESSAGE)
    )]
    pub max_object_bytes: usize,

    /// Most questions in one request of BatchAdmit, BatchCheckFlow or StreamCheckFlow
    #[arg(
        long,
        value_name = "N",
        env = "GAVEL_MAX_BATCH",
        default_value_t = 1000,
        value_parser = up_to(MANY)
    )]
    pub max_batch: usize,

    /// Most bytes of a request's headers
    #[arg(
        long,
        value_name = "BYTES",
        env = "GAVEL_MAX_HEADER_BYTES",
        default_value_t = 16 << 10,
        value_parser = clap::value_parser!(u32).range(1024..)
    )]
    pub max_header_bytes: u32,

    /// Most bytes of requests and answers that are held for all callers
    #[arg(
        long,
        value_name = "BYTES",
        env = "GAVEL_MAX_HELD_BYTES",
        default_value_t = 256 << 20,
        value_parser = up_to(MEMORY)
    )]
    pub max_held_bytes: usize,

    /// Most connections
    #[arg(long, value_name = "N", env = "GAVEL_MAX_CONNECTIONS", default_value_t = 4096, value_parser = up_to(MANY))]
    pub max_connections: usize,

    /// Most connections of one address
    #[arg(
        long,
        value_name = "N",
        env = "GAVEL_MAX_CONNECTIONS_PER_ADDRESS",
        default_value_t = 512,
        value_parser = up_to(MANY)
    )]
    pub max_connections_per_address: usize,

    /// Most streams at once, of one connection
    #[arg(
        long,
        value_name = "N",
        env = "GAVEL_MAX_CONCURRENT_STREAMS",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub max_concurrent_streams: u32,

    /// Most requests in flight. Above half of it, a caller may have its share of it only
    #[arg(long, value_name = "N", env = "GAVEL_MAX_IN_FLIGHT", default_value_t = 4096, value_parser = up_to(MANY))]
    pub max_in_flight: usize,

    /// Most requests in flight, of one caller: a user, or an address where callers are not authenticated
    #[arg(long, value_name = "N", env = "GAVEL_CALLER_IN_FLIGHT", default_value_t = 1024, value_parser = up_to(MANY))]
    pub caller_in_flight: usize,

    /// Most requests a second, of one caller; 0: as many as it likes
    #[arg(long, value_name = "N", env = "GAVEL_CALLER_RATE", default_value_t = 0)]
    pub caller_rate: u32,

    /// Most requests at once, of one caller, after a while without any [default: those of a second]
    #[arg(long, value_name = "N", env = "GAVEL_CALLER_BURST")]
    pub caller_burst: Option<NonZeroU32>,

    /// How long the TLS handshake, and then the first bytes of HTTP/2, may take to come, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_HANDSHAKE_SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub handshake_seconds: u64,

    /// How long it may take to receive a request and answer it, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_REQUEST_SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub request_seconds: u64,
}

/// An API server takes objects of up to 3 MiB, and a question may carry two.
const MAX_REQUEST_BYTES: usize = 8 << 20;
/// `MaxRequestBodyBytes` of `k8s.io/apiserver/pkg/server/config.go`.
const MAX_OBJECT_BYTES: usize = 3 << 20;

/// A message's length has four bytes on the wire
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
const MESSAGE: u64 = u32::MAX as u64;
/// More memory than any machine has.
const MEMORY: u64 = 1 << 48;
/// More than a server could serve.
const MANY: u64 = 10_000_000;

fn up_to(most: u64) -> impl clap::builder::TypedValueParser<Value = usize> {
    // usize has 64 bits wherever this is built for.
    RangedU64ValueParser::<u64>::new().range(1..=most).try_map(usize::try_from)
}
