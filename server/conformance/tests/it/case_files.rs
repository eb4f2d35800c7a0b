//! Every case file in the tree. Through the engine whole; through a server every twentieth case, as starting one for
//! each takes time: the program `conformance` asks them all of everybody.

use std::path::{Path, PathBuf};

use gavel_conformance::{Case, Engine, Grpc, Typed, cases, run::run};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(name)
}

fn check(cases: &[Case], at_least: usize) {
    assert!(cases.len() >= at_least, "{} cases", cases.len());
    let outcome = run(cases, &Engine);
    assert!(outcome.failures.is_empty(), "{}", outcome.failures.join("\n"));
    assert_eq!(outcome.passed, cases.len());
    let some: Vec<Case> = cases.iter().step_by(20).cloned().collect();
    let outcome = run(&some, &Grpc);
    assert!(outcome.failures.is_empty(), "{}", outcome.failures.join("\n"));
}

#[test]
fn admissions() {
    let cases = cases::read(&path("psp.jsonl.gz")).unwrap();
    check(&cases, 3000);
    let outcome = run(&cases, &Typed { asked: Engine, name: "typed" });
    assert!(outcome.failures.is_empty(), "{}", outcome.failures.join("\n"));
    let some: Vec<Case> = cases.iter().step_by(40).cloned().collect();
    let outcome = run(&some, &Typed { asked: Grpc, name: "grpc-typed" });
    assert!(outcome.failures.is_empty(), "{}", outcome.failures.join("\n"));
}

#[test]
fn authorizations() {
    check(&cases::read(&path("rbac.jsonl.gz")).unwrap(), 2000);
}

#[test]
fn flows() {
    check(&cases::read(&path("netpol.jsonl.gz")).unwrap(), 2000);
}

#[test]
fn end_to_end_suite() {
    let folders = cases::folders(&path("k8s-e2e")).unwrap();
    let cases: Vec<Case> = folders.iter().flat_map(|folder| cases::read(folder).unwrap()).collect();
    check(&cases, 28);
}

/// A runner that cannot fail proves nothing.
#[test]
fn a_wrong_answer_is_noticed() {
    for file in ["psp.jsonl.gz", "rbac.jsonl.gz", "netpol.jsonl.gz"] {
        let mut cases = cases::read(&path(file)).unwrap();
        cases.truncate(200);
        // Each case gets the expectations of its neighbour.
        let questions: Vec<_> = cases.iter().map(|case| case.questions.clone()).collect();
        for (case, other) in cases.iter_mut().zip(questions.iter().skip(1)) {
            for ((_, expected), (_, others)) in case.questions.iter_mut().zip(other) {
                *expected = others.clone();
            }
        }
        assert!(run(&cases, &Engine).failures.len() > 50, "{file}");
    }
}
