//! Variables: which are set, what is wrong with them, and which nobody reads.

use std::ffi::OsString;

use clap::{ArgMatches, Command};

use crate::Program;
use crate::arguments::{error_of, is_said};

/// A variable that is set, and that no flag overrules.
#[derive(Debug)]
pub(crate) struct Variable {
    /// The setting.
    pub(crate) id: String,
    name: String,
    value: OsString,
}

/// The variables that count.
pub(crate) fn set(command: &Command, said: &ArgMatches) -> Vec<Variable> {
    command
        .get_arguments()
        .filter(|argument| !is_said(said, argument.get_id().as_str()))
        .filter_map(|argument| {
            let name = argument.get_env()?;
            let value = std::env::var_os(name)?;
            Some(Variable {
                id: argument.get_id().to_string(),
                name: name.to_string_lossy().into_owned(),
                value,
            })
        })
        .collect()
}

/// What is wrong with them.
pub(crate) fn errors(command: &Command, variables: &[Variable]) -> Vec<String> {
    let error = |variable: &Variable| {
        let argument = command.get_arguments().find(|argument| argument.get_id() == variable.id.as_str())?;
        let error = error_of(argument, std::slice::from_ref(&variable.value))?;
        Some(format!("environment {}: {error}", variable.name))
    };
    variables.iter().filter_map(error).collect()
}

/// Variables that begin like the program's, and that it does not know: mistakes in writing, most likely.
pub(crate) fn unknown(
    command: &Command,
    program: Program<'_>,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Vec<String> {
    let known: Vec<String> = command
        .get_arguments()
        .filter_map(|argument| Some(argument.get_env()?.to_string_lossy().into_owned()))
        .collect();
    let mut unknown: Vec<String> = variables
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with(program.prefix))
        .filter(|name| !program.others.iter().any(|other| name.starts_with(other)))
        .filter(|name| !known.contains(name) && !is_service_link(name))
        .collect();
    unknown.sort();
    let warning = |name: String| {
        let like = crate::file::closest(&name, known.iter().map(String::as_str));
        let meant = like.map(|like| format!("; is {like} meant?")).unwrap_or_default();
        format!("environment {name}: there is no such setting{meant}")
    };
    unknown.into_iter().map(warning).collect()
}

/// Whether a variable is called like what a kubelet sets for each Service of a pod's namespace, one called `gavel-…` among
/// them
/// (<https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables>).
pub fn is_service_link(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT")
        || name
            .split_once("_PORT_")
            .is_some_and(|(_, rest)| rest.starts_with(|first: char| first.is_ascii_digit()))
}
