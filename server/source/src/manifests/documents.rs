//! From a file's text to its documents, as JSON values.

use std::sync::Arc;

use serde_json::Value;

use super::value::Strict;
use super::{split, yaml};
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
        .map(|(index, (document, line))| match yaml::read(document) {
            Ok(item) => Ok(Located { place: place(index + 1, line), item }),
            Err((message, at)) => {
                let place = place(index + 1, at.unwrap_or(line));
                Err(ManifestError::new(place, format!("is not YAML: {message}")))
            }
        })
        .collect()
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
