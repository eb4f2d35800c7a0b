//! The command line: what is said, and everything that is wrong with it. clap ends at the first error.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{ArgMatches, Command};

use crate::arguments::{error_of, is_said, optional, words};

/// What the command line says.
#[derive(Debug)]
pub(crate) struct Said {
    /// Values as texts; those of a part of the command line, if clap cannot tell what the rest belongs to.
    pub(crate) matches: ArgMatches,
    pub(crate) errors: Vec<String>,
}

/// Reads a command line by itself: without environment and file, and with nothing that has to be said.
///
/// # Errors
/// When help or the version is asked for, or a subcommand cannot be read, which is clap's to tell.
pub(crate) fn read(command: &Command, arguments: &[OsString]) -> Result<Said, Error> {
    let texts = optional(command.clone()).mut_args(|argument| {
        if argument.get_action().takes_values() {
            argument.value_parser(clap::value_parser!(OsString))
        } else {
            argument
        }
    });
    let (mut left, mut found) = (arguments.to_vec(), Vec::new());
    let matches = loop {
        match texts.clone().try_get_matches_from(&left) {
            Ok(matches) => break matches,
            Err(error) if error.exit_code() == 0 => return Err(error),
            Err(error) => {
                let goes_on = remove_unknown(&error, &mut left);
                found.push(error);
                if !goes_on {
                    break texts.ignore_errors(true).try_get_matches_from(&left)?;
                }
            }
        }
    };
    if matches.subcommand_name().is_some() && !found.is_empty() {
        return Err(found.swap_remove(0));
    }
    // What has to be said may be said elsewhere.
    let mut errors: Vec<String> =
        found.iter().filter(|error| error.kind() != ErrorKind::MissingRequiredArgument).map(words).collect();
    for argument in command.get_arguments().filter(|argument| argument.get_action().takes_values()) {
        let id = argument.get_id().as_str();
        if is_said(&matches, id) {
            let values: Vec<OsString> =
                matches.get_raw(id).into_iter().flatten().map(ToOwned::to_owned).collect();
            errors.extend(error_of(argument, &values));
        }
    }
    Ok(Said { matches, errors })
}

/// Takes an argument that nobody knows out, with what seems to be its value.
fn remove_unknown(error: &Error, arguments: &mut Vec<OsString>) -> bool {
    let (ErrorKind::UnknownArgument, Some(ContextValue::String(name))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    else {
        return false;
    };
    let is_it = |argument: &OsString| {
        let text = argument.to_string_lossy();
        text.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    let Some(at) = arguments.iter().skip(1).position(is_it).map(|at| at + 1) else { return false };
    let removed = arguments.remove(at);
    let has_value = arguments.get(at).is_some_and(|next| !next.to_string_lossy().starts_with('-'));
    if has_value && removed.to_string_lossy() == name.as_str() && name.starts_with('-') {
        arguments.remove(at);
    }
    true
}
