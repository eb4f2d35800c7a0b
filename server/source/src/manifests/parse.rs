//! From a file's text to objects.

use gavel_engine::field::FieldError;
use gavel_engine::object::Kind;
use gavel_engine::object::decode::decode;
use gavel_engine::object::validate::findings;
use serde_json::Value;

use super::{ReadOptions, Reading, documents};
use crate::{Located, ManifestError, Place};

/// What stands in `text`, which is called `file` in messages. Never panics, whatever the text.
pub fn parse(text: &[u8], file: &str) -> Reading {
    let mut reading = Reading::default();
    parse_into(&mut reading, text, file, ReadOptions::default());
    reading.refuse_duplicates();
    reading
}

/// Adds to `reading` what stands in `text`.
pub(super) fn parse_into(reading: &mut Reading, text: &[u8], name: &str, options: ReadOptions) {
    let mut file = File { reading, options };
    for document in documents(text, name) {
        match document {
            Ok(Located { place, item }) => file.document(&item, &place),
            Err(error) => file.reading.errors.push(error),
        }
    }
}

/// A file that is being read.
struct File<'a> {
    reading: &'a mut Reading,
    options: ReadOptions,
}

impl File<'_> {
    fn document(&mut self, value: &Value, place: &Place) {
        match value {
            Value::Null => {}
            Value::Object(_) => self.object(value, place, ""),
            _ => {
                let message = "is not an object: it has no apiVersion and kind";
                self.reading.errors.push(ManifestError::new(place.clone(), message));
            }
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
