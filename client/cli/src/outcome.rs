//! Exit codes, and how a program that cannot go on says so.

use std::process::ExitCode;

/// What the exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// 0: everything that was asked is allowed.
    Yes,
    /// 1: something is denied.
    No,
    /// 2: something could not be answered.
    Bad,
}

impl Outcome {
    pub(crate) fn of(allowed: bool) -> Self {
        if allowed { Outcome::Yes } else { Outcome::No }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        ExitCode::from(match outcome {
            Outcome::Yes => 0,
            Outcome::No => 1,
            Outcome::Bad => 2,
        })
    }
}

/// The outcome of a command: an error is said on standard error, and is [`Outcome::Bad`]. That nobody reads the output
/// any more (`gavel … | head -1`) is no error.
pub(crate) fn conclude(result: anyhow::Result<Outcome>) -> Outcome {
    match result {
        Ok(outcome) => outcome,
        Err(error) if is_broken_pipe(&error) => Outcome::Yes,
        Err(error) => {
            anstream::eprintln!("{}: {error:#}", crate::render::style::error("error"));
            Outcome::Bad
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
