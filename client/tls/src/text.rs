//! Texts that are followed.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::files::Content;
use crate::{Error, follow};

/// Reads a text once, as [`crate::text`] would.
///
/// # Errors
/// When the file cannot be read, is empty, or is no text.
pub fn load_text(path: impl AsRef<Path>) -> Result<String, Error> {
    follow::load(&Recipe(path.as_ref().to_owned())).map(|(text, _)| text)
}

pub(crate) struct Recipe(pub(crate) PathBuf);

impl follow::Recipe for Recipe {
    type Made = String;

    fn files(&self) -> Vec<PathBuf> {
        vec![self.0.clone()]
    }

    fn make(&self, contents: &[Content]) -> Result<String, Error> {
        let bytes = contents.first().map(|content| content.bytes.as_slice()).unwrap_or_default();
        // Where it goes wrong is told, what is there is not.
        let text = std::str::from_utf8(bytes).map_err(|error| {
            Error::content(&self.0, format!("no UTF-8 after {} bytes", error.valid_up_to()))
        })?;
        if text.trim().is_empty() {
            return Err(Error::content(&self.0, "it is empty"));
        }
        Ok(text.to_owned())
    }

    fn warnings(&self, _: &[Content], _: &String, _: SystemTime) -> Vec<String> {
        Vec::new()
    }
}
