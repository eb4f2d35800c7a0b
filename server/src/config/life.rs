//! Settings: how connections and the server end.

use clap::Args;

use super::YEAR;

/// How connections and the server end.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Life")]
pub struct Life {
    /// When connections are told to end, in seconds, a tenth more or less, so that callers spread over new replicas; 0:
    /// never
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_MAX_CONNECTION_AGE_SECONDS",
        default_value_t = 600,
        value_parser = clap::value_parser!(u64).range(..=YEAR)
    )]
    pub max_connection_age_seconds: u64,

    /// How long a connection may take to end then, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_MAX_CONNECTION_AGE_GRACE_SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub max_connection_age_grace_seconds: u64,

    /// How long to go on serving once the server was told to stop and says that it is not ready, in seconds: as long as
    /// it takes until nobody is sent here any more
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_DRAIN_DELAY_SECONDS",
        default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(..=3600)
    )]
    pub drain_delay_seconds: u64,

    /// How long requests in flight may take after that, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_DRAIN_SECONDS",
        default_value_t = 20,
        value_parser = clap::value_parser!(u64).range(..=3600)
    )]
    pub drain_seconds: u64,
}
