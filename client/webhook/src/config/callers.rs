//! Who may ask, and how much at a time.

use std::path::PathBuf;

use clap::Args;

/// Who may ask, and how much at a time. The defaults suit an API server.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Callers")]
pub struct Callers {
    /// Authorities of client certificates, in PEM: whoever has none of theirs is refused by TLS. An API server shows the
    /// one that the kubeconfig of its AdmissionConfiguration names. Read again when changed
    #[arg(long, value_name = "FILE", env = "GAVEL_WEBHOOK_CLIENT_CA")]
    pub client_ca: Option<PathBuf>,

    /// Most reviews at a time; the others are answered with 429 at once
    #[arg(
        long,
        value_name = "N",
        env = "GAVEL_WEBHOOK_MAX_IN_FLIGHT",
        default_value_t = Callers::default().max_in_flight,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub max_in_flight: u32,

    /// Most connections at a time; others are closed
    #[arg(
        long,
        value_name = "N",
        env = "GAVEL_WEBHOOK_MAX_CONNECTIONS",
        default_value_t = Callers::default().max_connections,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub max_connections: u32,

    /// Most connections of one address at a time; others are closed
    #[arg(
        long,
        value_name = "N",
        env = "GAVEL_WEBHOOK_MAX_CONNECTIONS_PER_ADDRESS",
        default_value_t = Callers::default().max_connections_per_address,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub max_connections_per_address: u32,

    /// Largest headers taken, in bytes
    #[arg(
        long,
        value_name = "BYTES",
        env = "GAVEL_WEBHOOK_MAX_HEADER_BYTES",
        default_value_t = Callers::default().max_header_bytes,
        value_parser = clap::value_parser!(u32).range(8192..)
    )]
    pub max_header_bytes: u32,

    /// How long a TLS handshake may take, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_WEBHOOK_HANDSHAKE_SECONDS",
        default_value_t = Callers::default().handshake_seconds,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub handshake_seconds: u64,

    /// How long a connection may be without a request, and the headers of one may take, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_WEBHOOK_IDLE_SECONDS",
        default_value_t = Callers::default().idle_seconds,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub idle_seconds: u64,
}

impl Default for Callers {
    fn default() -> Self {
        Self {
            client_ca: None,
            max_in_flight: 1024,
            max_connections: 1024,
            max_connections_per_address: 128,
            max_header_bytes: 16 * 1024,
            handshake_seconds: 10,
            // Longer than Go's http.Transport keeps idle connections (90 s): the API server closes first, and never
            // sends a review into a connection that is being closed.
            idle_seconds: 120,
        }
    }
}
