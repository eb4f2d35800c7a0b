//! Instructions of what the engine does most, counted by callgrind: steadier than seconds on any machine.
//!
//! `server/engine/benches/instructions check` runs this under valgrind and holds the counts against those that are
//! kept beside it. Each scenario prepares first and then calls one function named `measured_…`, in which alone
//! callgrind counts.
//!
//! By hand: `cargo bench -p gavel-engine --bench instructions -- SCENARIO`, which only runs it.
#![allow(missing_docs, reason = "a benchmark has no interface")]

mod cluster;

use std::hint::black_box;
use std::net::IpAddr;

use cluster::Cluster;
use gavel_engine::network::{End, FlowRequest};
use gavel_engine::object::Protocol;
use gavel_engine::{Change, Snapshot};

const QUESTIONS: u64 = 4_096;

fn main() {
    let scenario = std::env::args().nth(1).unwrap_or_default();
    match scenario.as_str() {
        "check_flow_1000" => check_flow(1_000),
        "check_flow_100000" => check_flow(100_000),
        _ => {}
    }
}

fn check_flow(pods: u32) {
    let cluster = Cluster { pods };
    let (snapshot, questions) = (cluster.snapshot(), cluster.questions(QUESTIONS));
    for _ in 0..std::env::var("R").ok().and_then(|r| r.parse().ok()).unwrap_or(1) {
    black_box(measured_check_flow(&snapshot, &questions));
    }
}

#[inline(never)]
fn measured_check_flow(snapshot: &Snapshot, questions: &[(IpAddr, IpAddr)]) -> usize {
    let allowed = |(source, destination): &&(IpAddr, IpAddr)| {
        let request = FlowRequest {
            source: End::Ip(*source),
            destination: End::Ip(*destination),
            protocol: Protocol::Tcp,
            port: 8080,
        };
        snapshot.check_flow(&request).is_ok_and(|decision| decision.allowed())
    };
    questions.iter().filter(allowed).count()
}

#[allow(dead_code)]
fn unused(_: Change) {}
