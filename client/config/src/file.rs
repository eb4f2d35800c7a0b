//! The file: YAML, a setting a key.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use clap::{Arg, Command};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::arguments::{equals, error_of, is_list, settings};

/// A setting of the file.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: String,
    long: String,
    /// `FILE:LINE`.
    pub(crate) place: String,
    values: Vec<OsString>,
}

impl Entry {
    /// As it would be said on a command line.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = OsString> {
        self.values.iter().map(|value| equals(&self.long, value))
    }
}

/// The keys and values of a mapping, in order, a key that is there twice among them.
struct Pairs(Vec<(Spanned<String>, Spanned<Value>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;

        impl<'de> Visitor<'de> for Pair {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("settings, such as `listen: [127.0.0.1:9470]`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }

            // An empty file.
            fn visit_unit<E>(self) -> Result<Pairs, E> {
                Ok(Pairs(Vec::new()))
            }
        }

        deserializer.deserialize_any(Pair)
    }
}

/// Reads a file: its settings, and everything that is wrong with it.
pub(crate) fn read(command: &Command, path: &Path) -> (Vec<Entry>, Vec<String>) {
    let name = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return (Vec::new(), vec![format!("--config {name}: {error}")]),
    };
    // Whoever writes one line twice is told both.
    let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins };
    let pairs = match serde_saphyr::from_str_with_options::<Pairs>(&text, options) {
        Ok(Pairs(pairs)) => pairs,
        Err(error) => {
            let place = error.location().map(|place| format!(":{}:{}", place.line(), place.column()));
            // Without the picture of the line, which is beside the point in a list of errors.
            let words = error.without_snippet().to_string();
            return (Vec::new(), vec![format!("{name}{}: {words}", place.unwrap_or_default())]);
        }
    };
    let (mut entries, mut errors, mut seen) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (key, value) in pairs {
        let place = format!("{name}:{}", key.referenced.line());
        let known = settings(command).find(|argument| argument.get_long() == Some(key.value.as_str()));
        let read = match known {
            None => Err(unknown(command, &key.value)),
            Some(argument) => match seen.insert(argument.get_id(), place.clone()) {
                Some(other) => Err(format!("is there already, at {other}")),
                None => entry(argument, &value.value, &place),
            },
        };
        match read {
            Ok(entry) => entries.push(entry),
            Err(error) => errors.push(format!("{place}: {}: {error}", key.value)),
        }
    }
    (entries, errors)
}

fn unknown(command: &Command, key: &str) -> String {
    if ["config", "check-config", "print-config"].contains(&key) {
        return "cannot be said in the file itself".to_owned();
    }
    match closest(key, settings(command).filter_map(Arg::get_long)) {
        Some(like) => format!("there is no such setting; is `{like}` meant?"),
        None => "there is no such setting".to_owned(),
    }
}

/// What somebody may have meant.
pub(crate) fn closest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::jaro_winkler(written, known), known))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}

fn entry(argument: &Arg, value: &Value, place: &str) -> Result<Entry, String> {
    let values = match value {
        Value::Array(items) if is_list(argument) => {
            items.iter().map(scalar).collect::<Option<Vec<_>>>().ok_or("must be a list of single values")?
        }
        Value::Array(_) => return Err("must be a single value, not a list".to_owned()),
        value => vec![scalar(value).ok_or("must be a single value, or a list of single values")?],
    };
    // Switches alone are told `--switch=false`: see `prepare`.
    if argument.is_require_equals_set() && !value.is_boolean() {
        return Err(format!("must be true or false, not {value}"));
    }
    if let Some(error) = error_of(argument, &values) {
        return Err(error);
    }
    // A switch that is off is not said: what it would need if it were on is not needed.
    let values =
        if argument.is_require_equals_set() && *value == Value::Bool(false) { Vec::new() } else { values };
    Ok(Entry {
        id: argument.get_id().to_string(),
        long: argument.get_long().unwrap_or_default().to_owned(),
        place: place.to_owned(),
        values,
    })
}

fn scalar(value: &Value) -> Option<OsString> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
