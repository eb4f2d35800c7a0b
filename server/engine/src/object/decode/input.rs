//! Reading of typed data with paths in Kubernetes' notation.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;

use crate::field::FieldError;

/// Something that typed data can be read from, more than once.
pub(super) trait Input<'de>: Copy {
    /// Reads a `T` and ignores what a `T` does not have.
    fn read<T: Deserialize<'de>>(self) -> Result<T, Vec<FieldError>>;

    /// Reads a `T` and refuses what a `T` does not have, except in `metadata` and `status`: a misspelt field would
    /// change what a policy means. As `kubectl --validate=strict`.
    fn read_strict<T: Deserialize<'de>>(self) -> Result<T, Vec<FieldError>>;
}

impl<'de> Input<'de> for &'de Value {
    fn read<T: Deserialize<'de>>(self) -> Result<T, Vec<FieldError>> {
        // Keeping track of the path costs as much as the reading: only for those who need to be told.
        T::deserialize(self)
            .or_else(|_| serde_path_to_error::deserialize(self).map_err(|error| vec![type_error(&error)]))
    }

    fn read_strict<T: Deserialize<'de>>(self) -> Result<T, Vec<FieldError>> {
        strict(self)
    }
}

impl<'de> Input<'de> for &'de [u8] {
    fn read<T: Deserialize<'de>>(self) -> Result<T, Vec<FieldError>> {
        if let Ok(value) = serde_json::from_slice(self) {
            return Ok(value);
        }
        let mut json = serde_json::Deserializer::from_slice(self);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| vec![type_error(&error)])?;
        at_end(&mut json)?;
        Ok(value)
    }

    fn read_strict<T: Deserialize<'de>>(self) -> Result<T, Vec<FieldError>> {
        let mut json = serde_json::Deserializer::from_slice(self);
        let value = strict(&mut json)?;
        at_end(&mut json)?;
        Ok(value)
    }
}

fn at_end<'de>(
    json: &mut serde_json::Deserializer<impl serde_json::de::Read<'de>>,
) -> Result<(), Vec<FieldError>> {
    json.end().map_err(|error| vec![FieldError::new("", error.to_string())])
}

fn strict<'de, D, T>(input: D) -> Result<T, Vec<FieldError>>
where
    D: serde::Deserializer<'de, Error = serde_json::Error>,
    T: Deserialize<'de>,
{
    // A set: what is buffered on the way is told of twice.
    let mut unknown = BTreeSet::new();
    let mut ignored = |path: serde_ignored::Path<'_>| {
        let path = unknown_path(&path);
        let top = path.split(['.', '[']).next().unwrap_or_default();
        if !matches!(top, "apiVersion" | "kind" | "metadata" | "status") {
            unknown.insert(path);
        }
    };
    let mut track = serde_path_to_error::Track::new();
    let input = serde_path_to_error::Deserializer::new(input, &mut track);
    let result = T::deserialize(serde_ignored::Deserializer::new(input, &mut ignored));
    let mut errors: Vec<FieldError> =
        unknown.into_iter().map(|path| FieldError::new("", format!("unknown field {path:?}"))).collect();
    match result {
        Ok(value) if errors.is_empty() => return Ok(value),
        Ok(_) => {}
        Err(error) => errors.push(FieldError::new(error_path(&track.path()), error.to_string())),
    }
    Err(errors)
}

fn type_error(error: &serde_path_to_error::Error<serde_json::Error>) -> FieldError {
    FieldError::new(error_path(error.path()), error.inner().to_string())
}

fn error_path(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => {
                // Writing into a String cannot fail.
                let _ = write!(text, "[{index}]");
            }
            Segment::Map { key } => push_key(&mut text, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

fn unknown_path(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", unknown_path(parent)),
        Path::Map { parent, key } => {
            let mut text = unknown_path(parent);
            push_key(&mut text, key);
            text
        }
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            unknown_path(parent)
        }
    }
}

/// `.key`, or `[key]` where the key has dots itself, as `field.Path.Key` of Kubernetes.
fn push_key(text: &mut String, key: &str) {
    if key.contains(['.', '/']) {
        let _ = write!(text, "[{key}]");
    } else {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(key);
    }
}
