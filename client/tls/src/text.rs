//! Texts that are followed, as they are or as what they mean.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::files::Content;
use crate::{Error, follow};

/// Reads a text once, as [`crate::text()`] would.
///
/// # Errors
/// When the file cannot be read, is empty, or is no text.
pub fn load_text(path: impl AsRef<Path>) -> Result<String, Error> {
    load_parsed(path, as_it_is)
}

/// Reads a text once, as [`crate::parsed`] would.
///
/// # Errors
/// When the file cannot be read, is empty, is no text, or has no meaning.
pub fn load_parsed<T: Send + Sync + 'static>(
    path: impl AsRef<Path>,
    parse: impl Fn(&str) -> Result<T, String> + Send + Sync + 'static,
) -> Result<T, Error> {
    follow::load(&Recipe::new(path.as_ref(), parse)).map(|(made, _)| made)
}

pub(crate) fn as_it_is(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

pub(crate) struct Recipe<P> {
    path: PathBuf,
    parse: P,
}

impl<P> Recipe<P> {
    pub(crate) fn new(path: &Path, parse: P) -> Self {
        Self { path: path.to_owned(), parse }
    }
}

impl<T, P> follow::Recipe for Recipe<P>
where
    T: Send + Sync + 'static,
    P: Fn(&str) -> Result<T, String> + Send + Sync + 'static,
{
    type Made = T;

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn make(&self, contents: &[Content]) -> Result<T, Error> {
        let bytes = contents.first().map(|content| content.bytes.as_slice()).unwrap_or_default();
        // Where it goes wrong is told, what is there is not.
        let text = std::str::from_utf8(bytes).map_err(|error| {
            Error::content(&self.path, format!("no UTF-8 after {} bytes", error.valid_up_to()))
        })?;
        if text.trim().is_empty() {
            return Err(Error::content(&self.path, "it is empty"));
        }
        (self.parse)(text).map_err(|why| Error::content(&self.path, why))
    }

    fn warnings(&self, _: &[Content], _: &T, _: SystemTime) -> Vec<String> {
        Vec::new()
    }
}
