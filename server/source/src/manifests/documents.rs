//! From a file's text to its documents, as JSON values.

use std::sync::Arc;

use serde_json::Value;

use super::parse::{json, yaml};
use super::split;
use crate::{Located, ManifestError, Place};

/// The documents that stand in `text`, which is called `file` in messages: YAML cut apart at `---`, or JSON values one
/// behind the other. Those without content are left out. Never panics, whatever the text.
pub fn documents(text: &[u8], file: &str) -> Vec<Result<Located<Value>, ManifestError>> {
    let text = match std::str::from_utf8(text) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let good = text.get(..error.valid_up_to()).unwrap_or_default();
            let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
            let place = Place { line, ..Place::file(file) };
            return vec![Err(ManifestError::new(place, "is not UTF-8 text"))];
        }
    };
    let name: Arc<str> = file.into();
    let place = |document, line| Place { file: name.clone(), document, line };
    if !text.trim_start().starts_with('{') {
        return yaml_documents(text, &place);
    }
    // JSON, or YAML in its flow style, of which JSON is a part.
    match json(text) {
        Ok(values) => values
            .into_iter()
            .map(|(item, document, line)| Ok(Located { place: place(document, line), item }))
            .collect(),
        Err((message, document, line)) => {
            let as_yaml = yaml_documents(text, &place);
            if file.ends_with(".json") || as_yaml.iter().any(Result::is_err) {
                return vec![Err(ManifestError::new(place(document, line), message))];
            }
            as_yaml
        }
    }
}

fn yaml_documents(
    text: &str,
    place: &dyn Fn(usize, usize) -> Place,
) -> Vec<Result<Located<Value>, ManifestError>> {
    let documents = split::documents(text);
    let with_content =
        documents.iter().filter_map(|document| document.content_line().map(|line| (document, line)));
    with_content
        .enumerate()
        .map(|(index, (document, line))| match yaml(document) {
            Ok(item) => Ok(Located { place: place(index + 1, line), item }),
            Err((message, at)) => {
                let place = place(index + 1, at.unwrap_or(line));
                Err(ManifestError::new(place, format!("is not YAML: {message}")))
            }
        })
        .collect()
}
