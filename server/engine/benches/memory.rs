//! Memory a pod: resident set before and after a snapshot of 100,000 pods and 10,000 policies is built.
//!
//! `cargo bench -p gavel-engine --bench memory`. Reads `/proc/self/statm`, so it tells something on Linux alone.
#![allow(missing_docs, reason = "a benchmark has no interface")]

mod cluster;

use cluster::Cluster;

const PAGE: u64 = 4096;

fn main() {
    let cluster = Cluster { pods: 100_000 };
    // What reading itself leaves behind in the allocator is not the snapshot's.
    cluster.objects().take(1_000).for_each(drop);
    let before = resident();
    let snapshot = cluster.snapshot();
    let bytes = resident().saturating_sub(before);
    println!(
        "{} pods, {} policies, revision {}: {} MiB, {} bytes a pod",
        cluster.pods,
        cluster.policies(),
        snapshot.revision(),
        bytes >> 20,
        bytes / u64::from(cluster.pods)
    );
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * PAGE
}
