//! What grows with a cluster, and what does not: questions, building, memory.
//!
//! `cargo bench -p gavel-engine --bench scale`. Questions about all clusters take turns in one process; building and
//! memory have a process each, since what one leaves behind in the allocator is not the next one's. Memory is read from
//! `/proc`, so it tells something on Linux alone.
#![allow(missing_docs, reason = "a benchmark has no interface")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark tells what it found")]

mod cluster;

use std::error::Error;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::Instant;

use cluster::Cluster;
use gavel_engine::object::decode::decode_slice;
use gavel_engine::{Change, Snapshot};

const CLUSTERS: [Cluster; 4] =
    [Cluster::of(1_000), Cluster::of(10_000), Cluster::of(100_000), Cluster::of_small_namespaces(100_000)];
const QUESTIONS: u64 = 4_096;
/// Of questions: each is answered so often, by turns.
const ROUNDS: usize = 51;
/// Of building.
const BUILDS: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let asked = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        CLUSTERS.get(arguments.get(place + 1)?.parse::<usize>().ok()?)
    };
    let done = if let Some(cluster) = asked("build") {
        println!("{}", build(*cluster));
        Ok(())
    } else if let Some(cluster) = asked("memory") {
        memory(*cluster).map(|bytes| println!("{bytes}"))
    } else {
        report()
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn report() -> Result<(), Box<dyn Error>> {
    let nanos = questions();
    println!("   pods  namespaces  policies  question  of the first  building/parsing  memory  bytes a pod");
    for (number, cluster) in CLUSTERS.iter().enumerate() {
        let ratio: f64 = child("build", number)?;
        let bytes: f64 = child("memory", number)?;
        println!(
            "{:>7}  {:>10}  {:>8}  {:>5.0} ns  {:>11.2}×  {ratio:>15.2}×  {:>3.0} MiB  {:>11.0}",
            cluster.pods,
            cluster.namespaces(),
            cluster.policies(),
            nanos[number],
            nanos[number] / nanos[0],
            bytes / f64::from(1 << 20),
            bytes / f64::from(cluster.pods),
        );
    }
    Ok(())
}

/// Asks this program about a cluster, in a process of its own.
fn child(what: &str, number: usize) -> Result<f64, Box<dyn Error>> {
    let output = Command::new(std::env::current_exe()?).args([what, &number.to_string()]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Nanoseconds a question takes, for each of the clusters: the median of the rounds.
fn questions() -> [f64; 4] {
    let snapshots = CLUSTERS.map(|cluster| (cluster.snapshot(), cluster.questions(QUESTIONS)));
    let mut rounds = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        for ((snapshot, questions), nanos) in snapshots.iter().zip(&mut rounds) {
            let began = Instant::now();
            black_box(cluster::one_by_one(questions, |question| cluster::allowed(snapshot, question)));
            nanos.push(began.elapsed().as_nanos() as f64 / QUESTIONS as f64);
        }
    }
    rounds.map(median)
}

/// Time to build a snapshot from objects, in units of the time that it took to read these from JSON: the median of a few
/// times, each of which does both.
fn build(cluster: Cluster) -> f64 {
    let json: Vec<String> = cluster.json().collect();
    let ratio = |_| {
        let began = Instant::now();
        let objects: Vec<_> = json.iter().map(|json| decode_slice(json.as_bytes())).collect();
        let parsing = began.elapsed();
        let changes: Vec<Change> = objects.into_iter().flatten().flatten().map(Change::Upsert).collect();
        assert_eq!(changes.len(), json.len(), "everything is read");
        let began = Instant::now();
        black_box(Snapshot::empty().apply(changes));
        began.elapsed().as_secs_f64() / parsing.as_secs_f64()
    };
    median((0..BUILDS).map(ratio).collect())
}

/// Bytes of a snapshot: resident memory before and after. Objects are read one by one, and gone once they are folded in.
fn memory(cluster: Cluster) -> Result<u64, Box<dyn Error>> {
    cluster.objects().take(1_000).for_each(drop);
    let before = resident()?;
    let snapshot = cluster.snapshot();
    let bytes = resident()?.saturating_sub(before);
    assert!(snapshot.revision() == 1, "it is still there");
    Ok(bytes)
}

fn resident() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
