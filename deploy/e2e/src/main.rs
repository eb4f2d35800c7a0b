//! Scenarios against a real control plane; `deploy/e2e/run` builds what they need and starts them.

mod in_a_pod;
mod kit;
mod scenarios;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, rest @ ..] = &arguments[..]
        && first == "--in-a-pod"
    {
        return in_a_pod::run(rest);
    }
    match kit::Runner::new().and_then(|mut runner| {
        scenarios::add_to(&mut runner);
        runner.run()
    }) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("gavel-e2e: {error:#}");
            ExitCode::from(2)
        }
    }
}
