//! Arguments of clap, as files and variables want them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::error::Error;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// `--check-config`.
pub(crate) const CHECK: &str = "check_config";
/// `--print-config`.
pub(crate) const PRINT: &str = "print_config";

/// Adds what every program can be told about its settings, and lets switches be switched off.
pub(crate) fn prepare(command: Command) -> Command {
    let switch = |id: &'static str, long: &'static str, help: &'static str| {
        Arg::new(id).long(long).help(help).action(ArgAction::SetTrue)
    };
    // A flag that somebody switched on below has to be switched off above: `--cluster=false`.
    let command = command.mut_args(|argument| match argument.get_action() {
        ArgAction::SetTrue => argument
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_value("false")
            .default_missing_value("true")
            .value_parser(clap::value_parser!(bool))
            .value_name("BOOL")
            .hide_default_value(true)
            .hide_possible_values(true),
        _ => argument,
    });
    command
        .arg(switch(CHECK, "check-config", "Check all settings, with the files they name, and end"))
        .arg(switch(PRINT, "print-config", "Print the settings in effect, as a file for --config, and end"))
}

/// Deaf to the environment.
pub(crate) fn without_environment(command: Command) -> Command {
    command.mut_args(|argument| argument.env(Resettable::Reset))
}

/// Deaf to the environment, and with nothing that has to be said: what is wrong with the flags alone.
pub(crate) fn optional(command: Command) -> Command {
    without_environment(command).mut_args(|argument| argument.required(false))
}

/// Whether a setting was said on the command line.
pub(crate) fn is_said(matches: &ArgMatches, id: &str) -> bool {
    matches.try_contains_id(id).unwrap_or(false) && matches.value_source(id) == Some(ValueSource::CommandLine)
}

/// A path that the environment says.
pub(crate) fn of_environment(command: &Command, id: &str) -> Option<PathBuf> {
    let argument = command.get_arguments().find(|argument| argument.get_id() == id)?;
    std::env::var_os(argument.get_env()?).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The settings: all that can be said, but for what is about settings.
pub(crate) fn settings(command: &Command) -> impl Iterator<Item = &Arg> {
    let others = ["config", CHECK, PRINT, "help", "version"];
    command.get_arguments().filter(move |argument| {
        argument.get_long().is_some() && !others.contains(&argument.get_id().as_str())
    })
}

/// Whether a setting may have several values.
pub(crate) fn is_list(argument: &Arg) -> bool {
    argument.get_value_delimiter().is_some() || matches!(argument.get_action(), ArgAction::Append)
}

/// What is wrong with a value, if anything: by the setting's own parser, and without the others.
pub(crate) fn error_of(argument: &Arg, values: &[OsString]) -> Option<String> {
    let long = argument.get_long()?;
    let mut alone = Arg::new("value")
        .long(long.to_owned())
        .action(argument.get_action().clone())
        .value_parser(argument.get_value_parser().clone());
    if let Some(names) = argument.get_value_names() {
        alone = alone.value_names(names.to_vec());
    }
    if let Some(count) = argument.get_num_args() {
        alone = alone.num_args(count);
    }
    if let Some(delimiter) = argument.get_value_delimiter() {
        alone = alone.value_delimiter(delimiter);
    }
    let said = values.iter().map(|value| equals(long, value));
    let parsed = Command::new("settings").no_binary_name(true).arg(alone).try_get_matches_from(said);
    parsed.err().map(|error| words(&error))
}

/// `--long=value`.
pub(crate) fn equals(long: &str, value: &OsString) -> OsString {
    let mut said = OsString::from(format!("--{long}="));
    said.push(value);
    said
}

/// What clap says, in a line, without how to ask for help.
pub(crate) fn words(error: &Error) -> String {
    let text = error.render().to_string();
    let told = text.trim_start_matches("error: ").split("\n\n").take_while(|paragraph| {
        !["Usage:", "For more information"].iter().any(|other| paragraph.starts_with(other))
    });
    let line = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    told.map(line).collect::<Vec<_>>().join("; ")
}
