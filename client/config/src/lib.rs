//! Settings of a program: flags, then environment, then a file, then defaults.
//!
//! A program says what it can be told once, to clap; [`read`] makes of that a file of settings, too, by their long
//! names. All of it is checked whole: everything that is wrong is told at once, with line and column, variable, or flag.
//! [`Read::print`] is the file that would have the same effect, and says where each value comes from.

mod arguments;
mod environment;
mod file;
mod flags;
mod manual;
mod node;
mod print;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{Error, ErrorKind};
use clap::{ArgMatches, Command, FromArgMatches};

pub use environment::is_service_link;
pub use manual::manual;

/// What a program is called where it is told something.
#[derive(Clone, Copy, Debug)]
pub struct Program<'p> {
    /// How its variables begin: `GAVEL_`.
    pub prefix: &'p str,
    /// Longer beginnings that are another program's: `GAVEL_WEBHOOK_`.
    pub others: &'p [&'p str],
}

/// What is to be done with the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Run by them.
    Run,
    /// Check them, and end.
    Check,
    /// Print them, and end.
    Print,
}

/// Settings that were read.
#[derive(Debug)]
pub struct Read<C> {
    /// They.
    pub settings: C,
    /// What they are for.
    pub purpose: Purpose,
    /// What may be a mistake, and is none for sure.
    pub warnings: Vec<String>,
    command: Command,
    matches: ArgMatches,
    /// Where each setting of the file stands, by its name.
    lines: BTreeMap<String, String>,
}

impl<C> Read<C> {
    /// The settings in effect, as a file that says the same; with where each comes from.
    pub fn print(&self) -> String {
        print::print(&self.command, &self.matches, &self.lines)
    }
}

/// Reads command line, environment and file. The command has an argument `config`, the file.
///
/// # Errors
/// Everything that is wrong with a value; else what clap says of what cannot go together.
pub fn read<C: FromArgMatches>(
    command: Command,
    program: Program<'_>,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Read<C>, Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command = arguments::prepare(command);
    let flags::Said { matches: said, errors: of_flags } = flags::read(&command, &arguments)?;
    let file = said
        .get_one::<OsString>("config")
        .map(PathBuf::from)
        .or_else(|| arguments::of_environment(&command, "config"));
    let is_other = said.subcommand_name().is_some();
    let file::File { entries, mut errors } = match &file {
        Some(path) if !is_other => file::read(&command, path),
        _ => file::File::default(),
    };
    let variables = environment::set(&command, &said);
    errors.extend(environment::errors(&command, &variables));
    // A single error of a flag clap tells below, in its own words.
    if !errors.is_empty() || of_flags.len() > 1 {
        errors.extend(of_flags);
        return Err(fail(command, &errors));
    }
    // What the file says is said like a flag, before the flags: whatever goes together, or does not, holds for it, too.
    let mut all: Vec<OsString> = arguments.first().cloned().into_iter().collect();
    let mut lines = BTreeMap::new();
    for entry in entries {
        let is_said =
            arguments::is_said(&said, &entry.id) || variables.iter().any(|variable| variable.id == entry.id);
        if !is_said {
            lines.insert(entry.id.clone(), entry.place.clone());
            all.extend(entry.arguments());
        }
    }
    all.extend(arguments.into_iter().skip(1));
    let mut parsed = command.clone();
    let matches = parsed.try_get_matches_from_mut(all)?;
    let settings = C::from_arg_matches(&matches).map_err(|error| error.format(&mut parsed))?;
    let is_set = |id| matches.get_flag(id);
    let purpose = match (is_set(arguments::CHECK), is_set(arguments::PRINT)) {
        (_, true) => Purpose::Print,
        (true, false) => Purpose::Check,
        (false, false) => Purpose::Run,
    };
    if purpose == Purpose::Print {
        let errors = print::unprintable(&command, &matches);
        if !errors.is_empty() {
            return Err(fail(command, &errors));
        }
    }
    let warnings = environment::unknown(&command, program, std::env::vars_os());
    Ok(Read { settings, purpose, warnings, command, matches, lines })
}

/// The command, in which arguments that several programs have are also variables of this one: these `shared` ones, as
/// `PREFIX` and their name.
pub fn with_variables<S: clap::Args>(command: Command, prefix: &str) -> Command {
    let shared = S::augment_args(Command::new(""));
    let ids: Vec<String> = shared.get_arguments().map(|argument| argument.get_id().to_string()).collect();
    command.mut_args(|argument| {
        let id = argument.get_id().as_str();
        if !ids.iter().any(|shared| shared == id) {
            return argument;
        }
        let variable = format!("{prefix}{}", id.to_uppercase());
        argument.env(variable)
    })
}

/// All errors at once.
pub fn fail(mut command: Command, errors: &[String]) -> Error {
    let message = match errors {
        [one] => one.clone(),
        many => {
            let list: Vec<String> = many.iter().map(|error| format!("  - {error}")).collect();
            format!("{} settings are wrong:\n{}", many.len(), list.join("\n"))
        }
    };
    command.error(ErrorKind::ValueValidation, message)
}

#[cfg(test)]
mod tests;
