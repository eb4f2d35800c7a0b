//! Manifests: files and folders of Kubernetes objects in YAML or JSON.
//!
//! [`read`] reads them once; [`watch`](watch::watch) goes on doing so whenever they change.
//!
//! A reading is good or bad as a whole: a policy that is left out because of a typing mistake would silently allow or
//! forbid something, so one error is enough to refuse all of it.

mod documents;
mod files;
mod folders;
mod parse;
mod split;
mod value;
pub mod watch;
mod yaml;

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use gavel_engine::{Object, ObjectKey};

use crate::{Located, ManifestError, Place};

pub use documents::documents;
pub use parse::parse;

/// Files larger than this are refused.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// What stands in some manifests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Objects that take part in decisions, in the order of files and documents.
    pub objects: Vec<Located<Object>>,
    /// Everything that is wrong.
    pub errors: Vec<ManifestError>,
    /// Everything that may be.
    pub warnings: Vec<ManifestError>,
    /// How many objects were passed over because they take no part in decisions, by `apiVersion kind`.
    pub ignored: BTreeMap<String, usize>,
}

/// How to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Objects that can be read but that Kubernetes' API server would have refused (a PodSecurityPolicy with an
    /// unknown rule) are warned of instead of being errors. Decisions know what to make of them.
    pub accept_refused: bool,
}

/// Reads files, and folders with all that is in them.
pub fn read(paths: &[PathBuf]) -> Reading {
    read_with(paths, ReadOptions::default())
}

/// [`read`], with options.
pub fn read_with(paths: &[PathBuf], options: ReadOptions) -> Reading {
    read_found(files::find(paths), options)
}

/// The manifests in files and folders, in the order in which [`read`] reads them.
///
/// # Errors
/// With what is wrong with the paths.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Vec<ManifestError>> {
    let files::Found { files, errors, .. } = files::find(paths);
    if errors.is_empty() { Ok(files) } else { Err(errors) }
}

fn read_found(found: files::Found, options: ReadOptions) -> Reading {
    let mut reading = Reading { errors: found.errors, warnings: found.warnings, ..Reading::default() };
    for file in &found.files {
        let name = file.display().to_string();
        match content(file) {
            Ok(text) => parse::parse_into(&mut reading, &text, &name, options),
            Err(message) => reading.errors.push(ManifestError::new(Place::file(name), message)),
        }
    }
    reading.refuse_duplicates();
    reading
}

fn content(file: &Path) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("is larger than {} MiB", MAX_FILE_BYTES / 1024 / 1024));
    }
    Ok(text)
}

impl Reading {
    /// Two objects of one key: nobody can tell which of them is meant.
    fn refuse_duplicates(&mut self) {
        let mut first: HashMap<ObjectKey, &Place> = HashMap::with_capacity(self.objects.len());
        for object in &self.objects {
            let key = object.item.key();
            let name = key.to_string();
            match first.get(&key) {
                Some(place) => self.errors.push(ManifestError {
                    place: object.place.clone(),
                    object: Some(name),
                    field: String::new(),
                    message: format!("is there twice: it also stands in {place}"),
                }),
                None => {
                    first.insert(key, &object.place);
                }
            }
        }
    }
}
