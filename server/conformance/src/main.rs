//! Runs a folder of cases whole: `conformance --dir PATH [--through engine,grpc,cli,typed,grpc-typed]`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use gavel_conformance::{CommandLine, DecisionPoint, Engine, Grpc, Typed, cases, run::run};

/// Asks cases whose answers Kubernetes gave, and tells which answers differ.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder with psp.jsonl.gz, rbac.jsonl.gz, netpol.jsonl.gz, and folders of cases; what is not there is not run
    #[arg(long)]
    dir: PathBuf,

    /// Who is asked
    #[arg(long, value_delimiter = ',', default_value = "engine,grpc,cli,typed,grpc-typed")]
    through: Vec<Through>,

    /// The program `gavel`; without it the one beside this program
    #[arg(long)]
    gavel: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Through {
    Engine,
    Grpc,
    Cli,
    /// The engine, with pods as messages
    Typed,
    /// A server, with pods as messages
    GrpcTyped,
}

/// Those to whom only admissions are another question.
const TYPED: [Through; 2] = [Through::Typed, Through::GrpcTyped];

/// What may be in the folder. The folders of further policy kinds are not.
const FILES: [&str; 3] = ["psp.jsonl.gz", "rbac.jsonl.gz", "netpol.jsonl.gz"];
const FOLDERS: [&str; 3] = ["k8s-e2e", "recipes", "np-guard/core"];

fn main() -> ExitCode {
    match all(&Arguments::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn all(arguments: &Arguments) -> anyhow::Result<usize> {
    let mut sets: Vec<(&str, Vec<PathBuf>)> = Vec::new();
    for file in FILES {
        let path = arguments.dir.join(file);
        if path.is_file() {
            sets.push((file, vec![path]));
        }
    }
    for folder in FOLDERS {
        let path = arguments.dir.join(folder);
        if path.is_dir() {
            sets.push((folder, cases::folders(&path)?));
        }
    }
    anyhow::ensure!(!sets.is_empty(), "there are no cases in {}", arguments.dir.display());
    let (mut passed, mut failed) = (0, 0);
    for (name, paths) in &sets {
        let mut set = Vec::new();
        for path in paths {
            set.extend(cases::read(path)?);
        }
        let questions: usize = set.iter().map(|case| case.questions.len()).sum();
        let has_admissions = |through| name.starts_with("psp") || !TYPED.contains(through);
        for through in arguments.through.iter().filter(|through| has_admissions(through)) {
            let asked = decision_point(*through, arguments.gavel.as_deref())?;
            let outcome = run(&set, &*asked);
            for failure in outcome.failures.iter().take(20) {
                println!("{failure}");
            }
            let (good, bad) = (outcome.passed, outcome.failures.len());
            println!("{name} through {}: {good} passed, {bad} failed ({questions} questions)", asked.name());
            passed += good;
            failed += bad;
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed)
}

fn decision_point(through: Through, gavel: Option<&Path>) -> anyhow::Result<Box<dyn DecisionPoint>> {
    Ok(match through {
        Through::Engine => Box::new(Engine),
        Through::Grpc => Box::new(Grpc),
        Through::Typed => Box::new(Typed { asked: Engine, name: "typed" }),
        Through::GrpcTyped => Box::new(Typed { asked: Grpc, name: "grpc-typed" }),
        Through::Cli => {
            let beside = std::env::current_exe()?.with_file_name("gavel");
            let program = gavel.map_or(beside, Path::to_owned);
            anyhow::ensure!(
                program.is_file(),
                "{} is not built: cargo build -p gavel-cli",
                program.display()
            );
            Box::new(CommandLine { program: program.canonicalize().context("gavel")? })
        }
    })
}
