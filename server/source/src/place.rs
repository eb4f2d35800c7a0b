//! Where objects stand, and what is wrong with them.

use std::fmt;
use std::sync::Arc;

use gavel_engine::field::FieldError;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was asked for. Of a source without files: what stands in for it.
    pub file: Arc<str>,
    /// Which document of the file, from 1; 0 for the file as a whole.
    pub document: usize,
    /// Line of the file, from 1: that of the mistake where it is known, else the first of the document; 0: unknown.
    pub line: usize,
}

impl Place {
    /// A file as a whole.
    pub fn file(file: impl Into<Arc<str>>) -> Self {
        Self { file: file.into(), document: 0, line: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        match (self.document, self.line) {
            (0, 0) => Ok(()),
            (0, line) => write!(f, " (line {line})"),
            (document, 0) => write!(f, ", document {document}"),
            (document, line) => write!(f, ", document {document} (line {line})"),
        }
    }
}

/// Something, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Located<T> {
    /// Where.
    pub place: Place,
    /// What.
    pub item: T,
}

/// What is wrong in a manifest; or, as a warning, what may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// Where.
    pub place: Place,
    /// Of which object, as far as known: `NetworkPolicy shop/web`.
    pub object: Option<String>,
    /// Path of the field; empty when the object as a whole is meant.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

impl ManifestError {
    /// What is wrong at `place`, no object being known.
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, object: None, field: String::new(), message: message.into() }
    }

    /// What is wrong with a field of the object at `place`.
    pub fn of_field(place: Place, object: Option<String>, error: FieldError) -> Self {
        Self { place, object, field: error.path, message: error.message }
    }
}

/// `web.yaml, document 2 (line 14), NetworkPolicy shop/web: spec.podSelector: …`
impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        if let Some(object) = &self.object {
            write!(f, ", {object}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ManifestError {}
