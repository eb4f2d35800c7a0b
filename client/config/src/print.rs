//! The settings in effect, as a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use crate::arguments::{is_list, settings};

pub(crate) fn print(command: &Command, matches: &ArgMatches, lines: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for argument in settings(command) {
        let (id, long) = (argument.get_id().as_str(), argument.get_long().unwrap_or_default());
        let values: Vec<String> =
            matches.get_raw(id).into_iter().flatten().map(|value| scalar(&value.to_string_lossy())).collect();
        // Writing into a String cannot fail.
        let _ = match (&values[..], is_list(argument)) {
            ([], _) => writeln!(text, "# {long}: # not set"),
            (values, true) => {
                writeln!(text, "{long}: [{}] # {}", values.join(", "), origin(argument, matches, lines))
            }
            ([value, ..], false) => writeln!(text, "{long}: {value} # {}", origin(argument, matches, lines)),
        };
    }
    text
}

/// What a file cannot say: YAML is Unicode, and paths need not be.
pub(crate) fn unprintable(command: &Command, matches: &ArgMatches) -> Vec<String> {
    settings(command)
        .filter(|argument| {
            let mut values = matches.get_raw(argument.get_id().as_str()).into_iter().flatten();
            values.any(|value| value.to_str().is_none())
        })
        .map(|argument| {
            format!("--{}: is no Unicode, and cannot be in a file", argument.get_long().unwrap_or_default())
        })
        .collect()
}

/// A value as YAML has it: JSON is YAML.
fn scalar(value: &str) -> String {
    let is_plain = value == "true"
        || value == "false"
        || value.parse::<f64>().is_ok_and(|number| number.to_string() == value);
    if is_plain { value.to_owned() } else { serde_json::Value::from(value).to_string() }
}

fn origin(argument: &Arg, matches: &ArgMatches, lines: &BTreeMap<String, String>) -> String {
    let id = argument.get_id().as_str();
    if let Some(place) = lines.get(id) {
        return place.clone();
    }
    match matches.value_source(id) {
        Some(ValueSource::CommandLine) => format!("flag --{}", argument.get_long().unwrap_or_default()),
        Some(ValueSource::EnvVariable) => {
            format!("environment {}", argument.get_env().unwrap_or_default().to_string_lossy())
        }
        _ => "default".to_owned(),
    }
}
