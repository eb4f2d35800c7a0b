//! The report, on numbers that are known.

use std::time::Duration;

use super::claims::{Wanted, claims};
use super::figures::*;
use super::markdown::markdown;
use super::write;
use crate::Results;

fn side(server_micros: f64, p999: f64) -> Side {
    Side {
        questions: 1000,
        per_second: 500.0,
        server_micros,
        client_micros: 20.0,
        latency_micros: [p999 / 4.0, p999 / 2.0, p999],
    }
}

fn contestant(name: &str, rounds: [f64; 3]) -> Contestant {
    Contestant { name: name.to_owned(), rounds: rounds.map(|micros| side(micros, 400.0)).to_vec() }
}

fn figures() -> Figures {
    let contestants = vec![
        contestant("echo of CheckFlow", [10.0, 20.0, 10.0]),
        contestant("CheckFlow", [11.0, 30.0, 10.0]),
        contestant("echo of Admit", [12.0, 12.0, 12.0]),
        contestant("Admit", [22.0, 22.0, 32.0]),
        contestant("BatchCheckFlow of 100", [1.0, 1.0, 2.0]),
        contestant("per-core: CheckFlow", [5.5, 15.0, 5.0]),
    ];
    Figures {
        machine: Machine { cores: 2, date: "2026-01-02".to_owned(), ..Default::default() },
        quick: false,
        answers_compared: 42,
        contest: Contest { cluster: "1000 pods".to_owned(), contestants },
        decoding_micros: vec![20.0, 20.0, 20.0],
        sizes: Sizes { flow: (40, 300), admit: (5000, 200), typed: (700, 200) },
        scale: Scale {
            pods: 101_000,
            ready_seconds: vec![2.0, 3.0, 9.0],
            resident_bytes: 120 << 20,
            fewer: (20 << 20, 1000),
            ..Default::default()
        },
        tail: Tail {
            pairs: vec![TailPair { rest: side(10.0, 400.0), changes: side(12.0, 1000.0) }],
            ..Default::default()
        },
        readers: Readers {
            objects: 7,
            applied_seconds: 0.5,
            answered: 99,
            waited: 0,
            preempted: 5,
            took_micros: [1.0, 2.0, 3.0],
        },
    }
}

/// Medians of each round's ratio, not ratios of medians.
#[test]
fn ratios() {
    let figures = figures();
    assert_eq!(figures.contest.ratio("CheckFlow", "echo of CheckFlow"), Some(1.1));
    assert_eq!(figures.contest.ratio("CheckFlow", "nobody"), None);
    let claims = claims(&figures);
    let claim = |part: &str| {
        let mut found = claims.iter().filter(|claim| claim.what.contains(part));
        let claim = found.next().unwrap();
        assert!(found.next().is_none(), "{part} is there twice");
        (claim.value, claim.wanted, claim.holds())
    };
    assert_eq!(claim("Admit: CPU against its echo and half"), (1.0, Wanted::AtMost(1.0), Some(true)));
    assert_eq!(claim("BatchCheckFlow of 100: questions"), (10.0, Wanted::AtLeast(10.0), Some(true)));
    assert_eq!(claim("a runtime a core"), (0.5, Wanted::Nothing, None));
    assert_eq!(claim("p99.9"), (2.5, Wanted::AtMost(2.0), Some(false)));
    let (bytes, _, holds) = claim("memory a pod");
    assert!((bytes - 1048.576).abs() < 1e-6 && holds == Some(false));
}

#[test]
fn what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("report");
    write(&figures(), &folder).unwrap();
    let text = std::fs::read_to_string(folder.join("report.md")).unwrap();
    for part in [
        "# Load test of 2026-01-02",
        "2 cores",
        "| CheckFlow: CPU against its echo | 1.10× | ≤ 1.15× | yes |",
        "| p99.9 of CheckFlow while changes are applied, against rest | 2.50× | ≤ 2× | **no** |",
        "| CheckFlow | 11.00 µs | 90909 | 20.00 µs | 500 | 100 µs | 200 µs | 400 µs |",
        "From start to ready 3.0 s (median of 3)",
        "99 answers by the engine",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for (plot, part) in [("cpu.svg", "per-core: CheckFlow"), ("latency.svg", "p99.9, at rest")] {
        let svg = std::fs::read_to_string(folder.join(plot)).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains(part), "{plot}");
    }
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("figures.json")).unwrap()).unwrap();
    assert_eq!(json["tail"]["pairs"][0]["rest"]["latencyMicros"][2], 400.0);
    // Nothing is judged by what is too short to mean anything.
    let quick = markdown(&Figures { quick: true, ..figures() });
    assert!(quick.contains("No time below means anything") && !quick.contains("**no**"), "{quick}");
}

#[test]
fn of_results() {
    let mut results = Results::default();
    for micros in 1..=1000 {
        results.record(Duration::from_micros(micros), Ok(()));
    }
    results.elapsed = Duration::from_secs(2);
    let side = Side::new(&results, 100, Duration::from_secs(1), Duration::from_secs(2));
    assert_eq!((side.questions, side.per_second), (100_000, 50_000.0));
    assert_eq!((side.server_micros, side.client_micros), (10.0, 20.0));
    assert!((side.latency_micros[1] - 990.0).abs() < 2.0, "{side:?}");
}
