//! Colours. `anstream` takes them away where nobody would see them.

use anstyle::{AnsiColor, Style};

fn painted(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Something is wrong, or denied.
pub(crate) fn error(text: &str) -> String {
    painted(AnsiColor::Red.on_default().bold(), text)
}

/// Something is allowed.
pub(crate) fn good(text: &str) -> String {
    painted(AnsiColor::Green.on_default().bold(), text)
}

/// Something to look at.
pub(crate) fn warning(text: &str) -> String {
    painted(AnsiColor::Yellow.on_default().bold(), text)
}

/// What would help.
pub(crate) fn help(text: &str) -> String {
    painted(AnsiColor::Cyan.on_default().bold(), text)
}

/// A name that matters.
pub(crate) fn strong(text: &str) -> String {
    painted(Style::new().bold(), text)
}
