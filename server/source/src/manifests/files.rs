//! Which files there are.
//!
//! In folders, hidden entries are passed over. That is also what makes mounted ConfigMaps work: there `web.yaml` is a
//! link to `..data/web.yaml`, and `..data` a link to `..2024_01_01`, so that each file is met once, by its plain name.

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::{ManifestError, Place};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Manifests, in the order in which they are to be read; no file twice.
    pub(super) files: Vec<PathBuf>,
    /// Folders that were looked into.
    pub(super) folders: Vec<PathBuf>,
    /// What could not be found.
    pub(super) errors: Vec<ManifestError>,
    /// What is odd.
    pub(super) warnings: Vec<ManifestError>,
    /// Files and folders, links resolved, that have been met.
    met: HashSet<PathBuf>,
}

/// Looks for the manifests of `paths`: a file whatever its name, of a folder all that is in it and looks like one.
pub(super) fn find(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for path in paths {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                let before = found.files.len();
                if found.is_new(path) {
                    found.folder(path);
                    if found.files.len() == before {
                        found
                            .warnings
                            .push(note(path, "has no manifests in it (*.yaml, *.yml, *.json)".into()));
                    }
                }
            }
            Ok(metadata) if metadata.is_file() => found.file(path),
            Ok(_) => found.errors.push(note(path, "is neither a file nor a folder".into())),
            Err(error) => found.errors.push(note(path, format!("cannot be read: {error}"))),
        }
    }
    found
}

impl Found {
    fn folder(&mut self, folder: &Path) {
        self.folders.push(folder.to_owned());
        let entries = fs::read_dir(folder).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
        });
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                self.errors.push(note(folder, format!("cannot be read: {error}")));
                return;
            }
        };
        entries.sort();
        for entry in entries.into_iter().filter(|entry| !is_hidden(entry)) {
            match fs::metadata(&entry) {
                Ok(metadata) if metadata.is_dir() && self.is_new(&entry) => self.folder(&entry),
                Ok(metadata) if metadata.is_file() && is_manifest(&entry) => self.file(&entry),
                Err(error) if is_manifest(&entry) => {
                    self.errors.push(note(&entry, format!("cannot be read: {error}")));
                }
                _ => {}
            }
        }
    }

    fn file(&mut self, file: &Path) {
        if self.is_new(file) {
            self.files.push(file.to_owned());
        }
    }

    /// Whether this is met for the first time, by whatever name: links may lead in circles.
    fn is_new(&mut self, path: &Path) -> bool {
        match fs::canonicalize(path) {
            Ok(path) => self.met.insert(path),
            // Gone in the meantime: reading it will tell.
            Err(_) => true,
        }
    }

    /// Changes when a file comes, goes, or is written to; without looking into it.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for file in &self.files {
            file.hash(&mut hasher);
            fs::canonicalize(file).ok().hash(&mut hasher);
            if let Ok(metadata) = fs::metadata(file) {
                metadata.len().hash(&mut hasher);
                metadata.modified().ok().hash(&mut hasher);
                identity(&metadata).hash(&mut hasher);
            }
        }
        for error in &self.errors {
            error.to_string().hash(&mut hasher);
        }
        self.folders.hash(&mut hasher);
        hasher.finish()
    }
}

/// Tells a file from another that took its place with the same time and size.
#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> (u64, u64, i64, i64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_metadata: &fs::Metadata) {}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix == "yaml" || suffix == "yml" || suffix == "json")
}

fn note(path: &Path, message: String) -> ManifestError {
    ManifestError::new(Place::file(path.display().to_string()), message)
}
