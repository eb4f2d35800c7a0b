//! Flows: a question against two bare look-ups of its addresses, one change, and building from nothing.
//!
//! `cargo bench -p gavel-engine --bench network`. Only ratios of one run mean something. Allocations are counted: a
//! question makes none.
#![allow(missing_docs, reason = "a benchmark has no interface")]

mod cluster;

use std::collections::HashMap;
use std::hint::black_box;
use std::net::IpAddr;

use cluster::Cluster;
use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use gavel_engine::object::decode::decode_slice;
use gavel_engine::{Change, Snapshot};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const SIZES: [u32; 2] = [1_000, 100_000];
const QUESTIONS: u64 = 4_096;

fn main() {
    divan::main();
}

/// The least a question costs: its two addresses looked up in one flat table.
#[divan::bench(args = SIZES)]
fn question_bare_look_ups(bencher: Bencher<'_, '_>, pods: u32) {
    let cluster = Cluster::of(pods);
    let table: HashMap<IpAddr, u32, foldhash::fast::RandomState> =
        (0..pods).map(|pod| (cluster::address(pod), pod)).collect();
    let questions = cluster.questions(QUESTIONS);
    bencher.counter(ItemsCount::new(QUESTIONS)).bench_local(|| {
        cluster::one_by_one(&questions, |(source, destination)| {
            let answer = black_box((table.get(source), table.get(destination)));
            answer.0.is_some() && answer.1.is_some()
        })
    });
}

#[divan::bench(args = SIZES)]
fn question_check_flow(bencher: Bencher<'_, '_>, pods: u32) {
    let cluster = Cluster::of(pods);
    let snapshot = cluster.snapshot();
    let questions = cluster.questions(QUESTIONS);
    bencher
        .counter(ItemsCount::new(QUESTIONS))
        .bench_local(|| cluster::one_by_one(&questions, |question| cluster::allowed(&snapshot, question)));
}

/// A pod with labels others have too gets another address. The snapshot before is kept until the next.
#[divan::bench(args = SIZES)]
fn change_pod(bencher: Bencher<'_, '_>, pods: u32) {
    let mut snapshot = Cluster::of(pods).snapshot();
    let mut number = 0;
    bencher
        .with_inputs(|| {
            number += 1;
            let pod = cluster::random(number) as u32 % pods;
            let address = std::net::Ipv4Addr::from_bits(0x6400_0000 + number as u32);
            Change::Upsert(cluster::read(&Cluster::of(pods).pod(pod, &address.to_string())))
        })
        .bench_local_values(|change| snapshot = snapshot.apply([change]));
}

/// What a change costs that no policy looks at: the snapshot's own bookkeeping, part of every other change.
#[divan::bench(args = SIZES)]
fn change_nothing(bencher: Bencher<'_, '_>, pods: u32) {
    let mut snapshot = Cluster::of(pods).snapshot();
    let account = cluster::read(
        r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"a","namespace":"b"}}"#,
    );
    bencher
        .with_inputs(|| Change::Upsert(account.clone()))
        .bench_local_values(|change| snapshot = snapshot.apply([change]));
}

/// A pod with a label of its own, which makes a new identity, comes and goes.
#[divan::bench(args = SIZES)]
fn change_identity(bencher: Bencher<'_, '_>, pods: u32) {
    let mut snapshot = Cluster::of(pods).snapshot();
    let mut number = 0;
    bencher
        .with_inputs(|| {
            number += 1;
            let pod = Cluster::of(pods).pod(cluster::random(number) as u32 % pods, "100.64.0.1");
            let upsert =
                cluster::read(&pod.replace("\"version\":\"v1\"", &format!("\"version\":\"x{number}\"")));
            Change::Upsert(upsert)
        })
        .bench_local_values(|change| snapshot = snapshot.apply([change]));
}

const LARGE: Cluster = Cluster::of(100_000);

#[divan::bench(sample_count = 5, sample_size = 1)]
fn build_parse_json(bencher: Bencher<'_, '_>) {
    let json: Vec<_> = LARGE.json().collect();
    bencher.bench_local(|| json.iter().map(|json| decode_slice(json.as_bytes())).collect::<Vec<_>>());
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn build_snapshot(bencher: Bencher<'_, '_>) {
    let objects: Vec<_> = LARGE.objects().collect();
    bencher
        .with_inputs(|| objects.iter().cloned().map(Change::Upsert).collect::<Vec<_>>())
        .bench_local_values(|changes| Snapshot::empty().apply(changes));
}
