//! Instructions of what the engine does most, counted by valgrind's callgrind: steadier than seconds on any machine.
//!
//! `cargo bench -p gavel-engine --bench instructions` counts each scenario and holds it against
//! `benches/instructions.txt`; more than [`TOLERANCE`] above it is a failure. `-- --all` also counts the slow ones, and
//! `-- --write` writes the file anew. Other compilers count otherwise: with another rustc than the file's it only tells.
//!
//! Each scenario runs in a process of its own, which prepares and then calls one function named `measured_…`, in which
//! alone callgrind counts.
#![allow(missing_docs, reason = "a benchmark has no interface")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark tells what it found")]

mod admission;
mod cluster;

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::net::IpAddr;
use std::process::{Command, ExitCode};

use cluster::Cluster;
use gavel_engine::admission::AdmitRequest;
use gavel_engine::rbac::{Action, User};
use gavel_engine::{Change, Snapshot};

/// Each with how many operations it does, and how.
const SCENARIOS: [(&str, u64, fn()); 12] = [
    ("check_flow_1000", QUESTIONS, || check_flow(1_000)),
    ("check_flow_10000", QUESTIONS, || check_flow(10_000)),
    ("check_flow_100000", QUESTIONS, || check_flow(100_000)),
    ("admit_json_10", ADMISSIONS, || admit_json(10)),
    ("admit_json_1000", ADMISSIONS, || admit_json(1_000)),
    ("admit_decoded_10", ADMISSIONS, || admit_decoded(10)),
    ("admit_decoded_1000", ADMISSIONS, || admit_decoded(1_000)),
    ("authorize_100", ADMISSIONS, || authorize(10)),
    ("authorize_10000", ADMISSIONS, || authorize(1_000)),
    ("change_pod_1000", CHANGES, || change_pod(1_000)),
    ("change_pod_10000", CHANGES, || change_pod(10_000)),
    ("build_1000", 1, || build(1_000)),
];
/// Hash seeds and addresses are different in every process, so counts are, a little.
const TOLERANCE: f64 = 0.05;
/// Building this under valgrind takes minutes: it is only counted with `-- --all` and `-- --write`.
const SLOW: [&str; 1] = ["check_flow_100000"];
const QUESTIONS: u64 = 4_096;
const ADMISSIONS: u64 = 500;
const CHANGES: u64 = 256;

fn main() -> ExitCode {
    let asked = std::env::args().nth(1).unwrap_or_default();
    match SCENARIOS.iter().find(|(scenario, ..)| *scenario == asked) {
        Some((_, _, run)) => run(),
        None => {
            return check(asked == "--write", asked == "--all").unwrap_or_else(|error| {
                eprintln!("{error}");
                ExitCode::FAILURE
            });
        }
    }
    ExitCode::SUCCESS
}

fn check_flow(pods: u32) {
    let cluster = Cluster::of(pods);
    black_box(measured_check_flow(&cluster.snapshot(), &cluster.questions(QUESTIONS)));
}

#[inline(never)]
fn measured_check_flow(snapshot: &Snapshot, questions: &[(IpAddr, IpAddr)]) -> usize {
    questions.iter().filter(|question| cluster::allowed(snapshot, question)).count()
}

fn admit_json(policies: u32) {
    let (snapshot, questions) = admission::admissions(policies, ADMISSIONS as usize);
    let asked = questions.iter().map(admission::Question::json).collect();
    assert!(black_box(measured_admit(&snapshot, asked)) > 0, "somebody is admitted");
}

fn admit_decoded(policies: u32) {
    let (snapshot, questions) = admission::admissions(policies, ADMISSIONS as usize);
    let asked = questions.iter().map(admission::Question::decoded).collect();
    assert!(black_box(measured_admit(&snapshot, asked)) > 0, "somebody is admitted");
}

#[inline(never)]
fn measured_admit(snapshot: &Snapshot, asked: Vec<AdmitRequest<'_>>) -> usize {
    asked
        .into_iter()
        .filter_map(|asked| snapshot.admit(asked).ok())
        .filter(|decision| decision.allowed)
        .count()
}

/// Ten times as many bindings as policies.
fn authorize(policies: u32) {
    let (snapshot, questions) = admission::admissions(policies, ADMISSIONS as usize);
    let asked: Vec<_> = questions.iter().map(|asked| (&asked.user, &*asked.namespace)).collect();
    black_box(measured_authorize(&snapshot, &asked));
}

#[inline(never)]
fn measured_authorize(snapshot: &Snapshot, asked: &[(&User, &str)]) -> usize {
    let may = |(user, namespace): &&(&User, &str)| {
        let action = Action::Resource {
            verb: "use",
            namespace,
            api_group: "policy",
            resource: "podsecuritypolicies",
            subresource: "",
            name: "psp-00001-restricted",
        };
        snapshot.authorize(user, &action).grant.is_some()
    };
    asked.iter().filter(may).count()
}

fn change_pod(pods: u32) {
    let change = |number: u64| {
        let address = std::net::Ipv4Addr::from_bits(0x6400_0000 + number as u32);
        Change::Upsert(cluster::read(
            &Cluster::of(pods).pod(cluster::random(number) as u32 % pods, &address.to_string()),
        ))
    };
    black_box(measured_changes(Cluster::of(pods).snapshot(), (0..CHANGES).map(change).collect()));
}

/// Each into a snapshot of its own.
#[inline(never)]
fn measured_changes(snapshot: Snapshot, changes: Vec<Change>) -> Snapshot {
    changes.into_iter().fold(snapshot, |snapshot, change| snapshot.apply([change]))
}

fn build(pods: u32) {
    black_box(measured_build(Cluster::of(pods).objects().map(Change::Upsert).collect()));
}

#[inline(never)]
fn measured_build(changes: Vec<Change>) -> Snapshot {
    Snapshot::empty().apply(changes)
}

fn check(write: bool, all: bool) -> Result<ExitCode, Box<dyn Error>> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
    let rustc = String::from_utf8(Command::new("rustc").arg("--version").output()?.stdout)?;
    let asked = SCENARIOS.iter().filter(|(scenario, ..)| write || all || !SLOW.contains(scenario));
    let counts = asked.map(|(scenario, operations, _)| Ok((*scenario, count(scenario, *operations)?)));
    let counts = counts.collect::<Result<BTreeMap<_, _>, Box<dyn Error>>>()?;
    if write {
        let lines: String = counts.iter().map(|(scenario, count)| format!("{scenario} {count}\n")).collect();
        std::fs::write(file, format!("{rustc}{lines}"))?;
    }
    let kept = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let mut lines = kept.lines();
    let same_compiler = lines.next() == rustc.lines().next();
    let kept: BTreeMap<_, _> = lines.filter_map(|line| line.split_once(' ')).collect();
    let mut more = false;
    for (scenario, count) in counts {
        let wanted: u64 = kept.get(scenario).ok_or(format!("{file} has no {scenario}"))?.parse()?;
        let change = count as f64 / wanted as f64 - 1.0;
        more |= change > TOLERANCE;
        println!("{scenario:<18} {count:>10} instructions each, {:+.1} %", change * 100.0);
    }
    if more && same_compiler {
        println!(
            "more than {:.0} % above {file}; if that is wanted, `cargo bench -p gavel-engine --bench instructions -- --write`",
            TOLERANCE * 100.0
        );
        return Ok(ExitCode::FAILURE);
    }
    if !same_compiler {
        println!("{file} was made with another rustc: nothing can be said of more or less");
    }
    Ok(ExitCode::SUCCESS)
}

/// Instructions of one operation.
fn count(scenario: &str, operations: u64) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*measured_*", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .arg(scenario)
        .output()
        .map_err(|error| format!("valgrind: {error}; Debian's package has the same name"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split("Collected :").nth(1));
    let collected = collected.ok_or(format!("valgrind counted nothing of {scenario}:\n{said}"))?;
    Ok(collected.trim().parse::<u64>()? / operations)
}
