//! The file: YAML, a setting a key.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use clap::{Arg, Command};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::arguments::{equals, error_of, is_list, settings};
use crate::node::{Node, written};

/// What is in a file.
#[derive(Debug, Default)]
pub(crate) struct File {
    /// Its settings, as far as they can be used.
    pub(crate) entries: Vec<Entry>,
    /// Everything that is wrong with it.
    pub(crate) errors: Vec<String>,
}

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
struct Pairs(Vec<(Spanned<Node>, Spanned<Node>)>);

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

impl File {
    fn unusable(error: String) -> Self {
        Self { errors: vec![error], ..Self::default() }
    }
}

/// Reads a file.
pub(crate) fn read(command: &Command, path: &Path) -> File {
    let name = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return File::unusable(format!("--config {name}: {error}")),
    };
    // Whoever writes one line twice is told both.
    let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins };
    let pairs = match serde_saphyr::from_str_with_options::<Pairs>(&text, options) {
        Ok(Pairs(pairs)) => pairs,
        Err(error) => {
            let place = error.location().map(|place| format!(":{}:{}", place.line(), place.column()));
            // Without the picture of the line, which is beside the point in a list of errors.
            let words = error.without_snippet().to_string();
            return File::unusable(format!("{name}{}: {words}", place.unwrap_or_default()));
        }
    };
    let at = |place: &Location| format!("{name}:{}:{}", place.line(), place.column());
    let (mut entries, mut errors, mut seen) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (key, value) in pairs {
        let place = key.referenced;
        let Ok(key) = written(&text, &key) else {
            errors.push(format!("{}: a key must be the name of a setting", at(&place)));
            continue;
        };
        let mut tell = |place: &Location, error: &str| errors.push(format!("{}: {key}: {error}", at(place)));
        let known = settings(command).find(|argument| argument.get_long() == Some(key.as_str()));
        let Some(argument) = known else {
            tell(&place, &unknown(command, &key));
            continue;
        };
        if let Some(other) = seen.insert(argument.get_id(), at(&place)) {
            tell(&place, &format!("is there already, at {other}"));
            continue;
        }
        match values(argument, &value, &text) {
            Ok(values) => entries.push(Entry {
                id: argument.get_id().to_string(),
                long: key,
                place: format!("{name}:{}", place.line()),
                values,
            }),
            Err(wrong) => wrong.iter().for_each(|(place, error)| tell(place, error)),
        }
    }
    File { entries, errors }
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

/// The values of a setting, or everything that is wrong with them.
fn values(
    argument: &Arg,
    value: &Spanned<Node>,
    source: &str,
) -> Result<Vec<OsString>, Vec<(Location, String)>> {
    let is_switch = argument.is_require_equals_set();
    let items = match &value.value {
        Node::List(items) if is_list(argument) => items.iter().collect(),
        _ => vec![value],
    };
    if items.is_empty() && !argument.get_default_values().is_empty() {
        let why = "must not be empty: leave the line out, and the default holds";
        return Err(vec![(value.referenced, why.to_owned())]);
    }
    let is_alone = items.first().is_none_or(|item| std::ptr::eq(*item, value));
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for item in items {
        let read = written(source, item).map_err(str::to_owned).and_then(|text| {
            match argument.get_value_delimiter() {
                Some(delimiter) if !is_alone && text.contains(delimiter) => {
                    return Err(format!("must not have `{delimiter}` in it: write two values"));
                }
                _ if is_switch && !matches!(item.value, Node::Bool(_)) => {
                    return Err(format!("must be true or false, not {text:?}"));
                }
                _ => {}
            }
            let text = OsString::from(text);
            error_of(argument, std::slice::from_ref(&text)).map_or(Ok(text), Err)
        });
        match read {
            Ok(value) => values.push(value),
            Err(error) => errors.push((item.referenced, error)),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    // A switch that is off is not said: what it would need if it were on is not needed.
    if is_switch && matches!(value.value, Node::Bool(false)) {
        values.clear();
    }
    Ok(values)
}
