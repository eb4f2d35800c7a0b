//! What is enforced, and how.

use std::ops::Range;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// What is enforced, and how.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Enforcement")]
pub struct Enforce {
    /// What happens to new connections of isolated pods when no server answers in time, when this agent is away, and when
    /// its queue is full
    #[arg(long, value_name = "ANSWER", env = "GAVEL_NODE_ON_UNAVAILABLE", default_value = "deny")]
    pub on_unavailable: Otherwise,

    /// How long a packet waits for an answer, in milliseconds. A server that takes longer is left for the next one
    #[arg(
        long,
        value_name = "MS",
        env = "GAVEL_NODE_TIMEOUT_MS",
        default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(10..=30_000)
    )]
    pub timeout_ms: u64,

    /// What happens to packets of isolated pods whose protocol is none of TCP, UDP and SCTP, such as pings:
    /// NetworkPolicies do not speak of them. Errors about connections that are allowed pass in any case
    #[arg(long, value_name = "ANSWER", env = "GAVEL_NODE_OTHER_PROTOCOLS", default_value = "deny")]
    pub other_protocols: Otherwise,

    /// Cut connections that policies allow no longer, by the program conntrack
    #[arg(long, env = "GAVEL_NODE_CUT_CONNECTIONS")]
    pub cut_connections: bool,

    /// Which packets must come by the interface where their source is: those whose source is a pod of this node, all that
    /// are not of this machine, or none. `all` does not suit a machine whose routes differ by direction
    #[arg(long, value_name = "SOURCES", env = "GAVEL_NODE_REVERSE_PATH", default_value = "pods")]
    pub reverse_path: ReversePath,

    /// Number of the first of the kernel's packet queues that are used: as many as --queues, and one for packets that are
    /// refused in any case
    #[arg(
        long,
        value_name = "N",
        env = "GAVEL_NODE_QUEUE",
        default_value_t = 9470,
        value_parser = clap::value_parser!(u16).range(..=65_000)
    )]
    pub queue: u16,

    /// How many queues, and threads, share the connections
    #[arg(
        long,
        value_name = "N",
        env = "GAVEL_NODE_QUEUES",
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    pub queues: u16,

    /// Most packets that wait in each queue
    #[arg(
        long,
        value_name = "N",
        env = "GAVEL_NODE_QUEUE_LENGTH",
        default_value_t = 4096,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub queue_length: u32,

    /// Most answers that each thread keeps; 0: each connection is asked about
    #[arg(
        long,
        value_name = "N",
        env = "GAVEL_NODE_CACHE_ENTRIES",
        default_value_t = 65_536,
        value_parser = clap::value_parser!(u32).range(..=10_000_000)
    )]
    pub cache_entries: u32,

    /// How often it is looked whether the rules are still in the kernel as they were written, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        env = "GAVEL_NODE_RESYNC_SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub resync_seconds: u64,
}

/// What happens to packets that nobody decides about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Otherwise {
    /// They are dropped.
    Deny,
    /// They pass.
    Allow,
}

impl Otherwise {
    pub(crate) fn is_allow(self) -> bool {
        self == Otherwise::Allow
    }
}

/// Which packets must come by the interface where their source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReversePath {
    /// Those whose source is a pod of this node.
    Pods,
    /// All.
    All,
    /// None.
    Off,
}

impl Enforce {
    /// How long a packet waits for an answer.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Numbers of the queues of packets that are decided about.
    pub(crate) fn deciding(&self) -> Range<u16> {
        self.queue..self.queue + self.queues
    }

    /// Number of the queue of packets that are refused.
    pub(crate) fn refusing(&self) -> u16 {
        self.queue + self.queues
    }
}
