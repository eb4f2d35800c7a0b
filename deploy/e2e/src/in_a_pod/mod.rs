//! What this program does inside of a network namespace that is a pod: it serves, or tries to reach.
//!
//! `gavel-e2e --in-a-pod COMMAND …`; scenarios start it so.

mod connects;
mod offer;
mod raw;
mod reach;
mod sctp;
mod serve;

use std::process::ExitCode;

use anyhow::bail;

/// Runs a command. Its exit code is the answer: 0 yes, 1 no, 2 that it cannot be told.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = match arguments[..] {
        ["serve", ref services @ ..] => serve::serve(services).map(|()| true),
        ["reach", protocol, address, port, milliseconds] => {
            reach::reach(protocol, address, port, milliseconds)
        }
        ["keep", address, port] => reach::keep(address, port).map(|()| true),
        ["connects", address, port, count, rate, seconds] => {
            connects::connects(address, port, count, rate, seconds).map(|()| true)
        }
        ["offer", address, port, rate, seconds] => offer::offer(address, port, rate, seconds).map(|()| true),
        ["raw", destination, bytes] => raw::send(destination, bytes).map(|()| true),
        _ => Err(anyhow::anyhow!("no such command: {arguments:?}")),
    };
    match answer {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

fn protocol(name: &str) -> anyhow::Result<Protocol> {
    Ok(match name {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        _ => bail!("{name} is no protocol"),
    })
}
