//! gavel: ask Gavel, the Kubernetes policy decision point, about admissions, flows and grants.

mod admit;
mod args;
mod ask;
mod authorize;
mod check_flow;
mod crd;
mod demo;
mod input;
mod outcome;
mod render;
mod server;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    args::Arguments::parse().run().into()
}
