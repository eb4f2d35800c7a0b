//! From a file's text to objects.

use gavel_engine::field::FieldError;
use gavel_engine::object::Kind;
use gavel_engine::object::decode::decode;
use gavel_engine::object::validate::findings;
use serde_json::Value;

use super::value::Strict;
use super::{ReadOptions, Reading, split, yaml};
use crate::{Located, ManifestError, Place};

/// What stands in `text`, which is called `file` in messages. Never panics, whatever the text.
pub fn parse(text: &[u8], file: &str) -> Reading {
    let mut reading = Reading::default();
    parse_into(&mut reading, text, file, ReadOptions::default());
    reading.refuse_duplicates();
    reading
}

/// Adds to `reading` what stands in `text`.
pub(super) fn parse_into(reading: &mut Reading, text: &[u8], file: &str, options: ReadOptions) {
    let text = match std::str::from_utf8(text) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let good = text.get(..error.valid_up_to()).unwrap_or_default();
            let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
            let place = Place { line, ..Place::file(file) };
            reading.errors.push(ManifestError::new(place, "is not UTF-8 text"));
            return;
        }
    };
    let mut file = File { reading, name: file.into(), options };
    if !text.trim_start().starts_with('{') {
        file.yaml(text);
        return;
    }
    // JSON, or YAML in its flow style, of which JSON is a part.
    match json(text) {
        Ok(values) => {
            values.iter().for_each(|(value, document, line)| file.document(value, *document, *line));
        }
        Err(error) => {
            if file.name.ends_with(".json") || !file.yaml_if_good(text) {
                let place = Place { file: file.name.clone(), document: error.1, line: error.2 };
                file.reading.errors.push(ManifestError::new(place, error.0));
            }
        }
    }
}

/// Something, the number of the document it is in, and its line.
type Numbered<T> = (T, usize, usize);

/// The values of `text`, one behind the other, each with its number and line; or what is wrong, with the same.
fn json(text: &str) -> Result<Vec<Numbered<Value>>, Numbered<String>> {
    let mut values = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Strict>();
    let line_of = |offset: usize| {
        let before = text.get(..offset).unwrap_or_default();
        let blank = text.get(offset..).unwrap_or_default().chars().take_while(|sign| sign.is_whitespace());
        before.matches('\n').count() + blank.filter(|sign| *sign == '\n').count() + 1
    };
    loop {
        let line = line_of(stream.byte_offset());
        let document = values.len() + 1;
        match stream.next() {
            None => return Ok(values),
            Some(Ok(Strict(value))) => values.push((value, document, line)),
            Some(Err(error)) => {
                return Err((format!("is not JSON: {}", bare(&error.to_string())), document, error.line()));
            }
        }
    }
}

/// The message without its position, which is told apart.
pub(super) fn bare(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message).to_owned()
}

/// A file that is being read.
struct File<'a> {
    reading: &'a mut Reading,
    name: std::sync::Arc<str>,
    options: ReadOptions,
}

impl File<'_> {
    fn yaml(&mut self, text: &str) {
        let mut number = 0;
        for document in split::documents(text) {
            let Some(line) = document.content_line() else { continue };
            number += 1;
            match yaml::read(&document) {
                Ok(value) => self.document(&value, number, line),
                Err((message, at)) => {
                    let place = Place { file: self.name.clone(), document: number, line: at.unwrap_or(line) };
                    self.reading.errors.push(ManifestError::new(place, format!("is not YAML: {message}")));
                }
            }
        }
    }

    /// Reads `text` as YAML if that works out; else does nothing.
    fn yaml_if_good(&mut self, text: &str) -> bool {
        let documents = split::documents(text);
        let is_good =
            documents.iter().filter(|one| one.content_line().is_some()).all(|one| yaml::read(one).is_ok());
        if is_good {
            self.yaml(text);
        }
        is_good
    }

    fn document(&mut self, value: &Value, document: usize, line: usize) {
        let place = Place { file: self.name.clone(), document, line };
        match value {
            Value::Null => {}
            Value::Object(_) => self.object(value, &place, ""),
            _ => self
                .reading
                .errors
                .push(ManifestError::new(place, "is not an object: it has no apiVersion and kind")),
        }
    }

    /// An object, or a list of them; `path` leads to it from the document.
    fn object(&mut self, value: &Value, place: &Place, path: &str) {
        if let Some(items) = list_items(value) {
            self.list(value, items, place, path);
            return;
        }
        let name = || name_of(value);
        match decode(value) {
            Ok(Some(object)) => {
                let found = findings(&object);
                let (mut refused, advice) = (found.refused, found.advice);
                if self.options.accept_refused {
                    self.warn(place, path, &name, refused.drain(..));
                }
                self.warn(place, path, &name, advice.into_iter());
                if refused.is_empty() {
                    self.reading.objects.push(Located { place: place.clone(), item: object });
                } else {
                    self.fail(place, path, &name, refused);
                }
            }
            Ok(None) => self.ignored(value, place),
            Err(errors) => self.fail(place, path, &name, errors),
        }
    }

    fn list(&mut self, list: &Value, items: &Value, place: &Place, path: &str) {
        let Some(items) = items.as_array() else {
            let error = FieldError::new("items", "is not a list");
            self.fail(place, path, &|| name_of(list), vec![error]);
            return;
        };
        // Of a typed list, the items need not say what they are; `v1 List` has items of any kind.
        let kind =
            text(list, "kind").and_then(|kind| kind.strip_suffix("List")).filter(|kind| !kind.is_empty());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}items[{index}].");
            match kind {
                Some(kind)
                    if item.is_object()
                        && (text(item, "kind").is_none() || text(item, "apiVersion").is_none()) =>
                {
                    let mut item = item.clone();
                    inherit(&mut item, "kind", kind);
                    inherit(&mut item, "apiVersion", text(list, "apiVersion").unwrap_or_default());
                    self.object(&item, place, &path);
                }
                _ => self.object(item, place, &path),
            }
        }
    }

    fn ignored(&mut self, value: &Value, place: &Place) {
        let (api_version, kind) =
            (text(value, "apiVersion").unwrap_or_default(), text(value, "kind").unwrap_or_default());
        *self.reading.ignored.entry(format!("{api_version} {kind}")).or_default() += 1;
        if Kind::ALL.into_iter().any(|known| known.as_str() == kind) {
            let message = format!("is not read: a {kind} of {api_version} is none of Kubernetes'");
            let error =
                ManifestError { object: name_of(value), ..ManifestError::new(place.clone(), message) };
            self.reading.warnings.push(error);
        }
    }

    fn fail(
        &mut self,
        place: &Place,
        path: &str,
        name: &dyn Fn() -> Option<String>,
        errors: Vec<FieldError>,
    ) {
        let located = errors.into_iter().map(|error| locate(place, path, name(), error));
        self.reading.errors.extend(located);
    }

    fn warn(
        &mut self,
        place: &Place,
        path: &str,
        name: &dyn Fn() -> Option<String>,
        advice: impl Iterator<Item = FieldError>,
    ) {
        let located = advice.map(|error| locate(place, path, name(), error));
        self.reading.warnings.extend(located);
    }
}

fn locate(place: &Place, path: &str, object: Option<String>, mut error: FieldError) -> ManifestError {
    // What comes as a surprise where YAML takes `no` for false.
    if error.message.starts_with("invalid type: ") && error.message.ends_with(", expected a string") {
        error.message.push_str("; quotes make it one");
    }
    let field = format!("{path}{}", error.path);
    let field = field.trim_end_matches('.').to_owned();
    ManifestError::of_field(place.clone(), object, FieldError { path: field, ..error })
}

/// The items of a list; `None`: the object is no list. That of a kind which only sounds like one is no mistake.
fn list_items(value: &Value) -> Option<&Value> {
    const EMPTY: &Value = &Value::Array(Vec::new());
    let kind = text(value, "kind").filter(|kind| kind.ends_with("List"))?;
    match value.get("items") {
        Some(Value::Null) => Some(EMPTY),
        Some(items) => (kind == "List" || items.is_array()).then_some(items),
        None => (kind == "List").then_some(EMPTY),
    }
}

fn inherit(item: &mut Value, field: &str, value: &str) {
    if text(item, field).is_none()
        && let Some(item) = item.as_object_mut()
    {
        item.insert(field.to_owned(), value.into());
    }
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

/// `NetworkPolicy shop/web`, as far as it can be told.
fn name_of(value: &Value) -> Option<String> {
    let kind = text(value, "kind")?;
    let metadata = value.get("metadata").unwrap_or(&Value::Null);
    let Some(name) = text(metadata, "name").or_else(|| text(metadata, "generateName")) else {
        return Some(kind.to_owned());
    };
    let is_namespaced =
        Kind::ALL.into_iter().find(|known| known.as_str() == kind).is_none_or(Kind::is_namespaced);
    let namespace = text(metadata, "namespace").filter(|namespace| is_namespaced && !namespace.is_empty());
    Some(match namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    })
}

#[cfg(test)]
mod tests;
