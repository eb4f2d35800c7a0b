//! All settings of a program, as a page of a manual.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::arguments::{is_list, prepare, settings};

/// A table of all settings in Markdown, a section a heading.
pub fn manual(command: Command) -> String {
    let command = prepare(command);
    let mut headings: Vec<&str> = Vec::new();
    for argument in settings(&command) {
        let heading = heading(argument);
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    let mut text = String::new();
    for wanted in headings {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "### {wanted}\n\n| setting | default | meaning |\n|---|---|---|");
        for argument in settings(&command).filter(|argument| heading(argument) == wanted) {
            let _ = writeln!(text, "{}", row(argument));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn heading(argument: &Arg) -> &str {
    argument.get_help_heading().unwrap_or("In general")
}

fn row(argument: &Arg) -> String {
    let long = argument.get_long().unwrap_or_default();
    let names: Vec<&str> =
        argument.get_value_names().into_iter().flatten().map(clap::builder::Str::as_str).collect();
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let many = if is_list(argument) { ", a list" } else { "" };
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let possible: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|_| !argument.is_hide_possible_values_set())
        .map(|value| match value.get_help() {
            Some(help) => format!("`{}`: {}", value.get_name(), help.to_string().trim_end_matches('.')),
            None => format!("`{}`", value.get_name()),
        })
        .collect();
    let possible = if possible.is_empty() { String::new() } else { format!(". {}", possible.join("; ")) };
    let cell = |text: String| text.replace('|', "\\|").replace('\n', " ");
    format!(
        "| `{}` {}{many}<br>`{variable}` | {} | {} |",
        long,
        cell(names.join(" ")),
        if defaults.is_empty() { String::new() } else { format!("`{}`", cell(defaults.join(", "))) },
        cell(format!("{help}{possible}")),
    )
}
