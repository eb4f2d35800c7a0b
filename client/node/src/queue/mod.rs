//! Queues: packets come by them, and wait there for a verdict.

mod counters;
mod refuse;
mod socket;
mod worker;

pub(crate) use counters::{Counters, counters};
pub(crate) use refuse::refuse;
pub(crate) use socket::Socket;
pub(crate) use worker::{Enforcing, Worker};

/// Packets that are taken from a queue at once, before their answers are looked for.
const TOGETHER: usize = 64;
