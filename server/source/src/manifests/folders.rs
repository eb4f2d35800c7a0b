//! The folders that are watched, and which of their changes matter.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use super::files::Found;

/// Watches folders, and says when something in them changed that matters.
pub(super) struct Folders {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    relevant: Arc<Mutex<Relevant>>,
}

/// What matters. Absolute paths.
#[derive(Default)]
struct Relevant {
    /// Everything in these.
    folders: BTreeSet<PathBuf>,
    /// These alone, of what else is in their folder.
    entries: BTreeSet<PathBuf>,
}

impl Relevant {
    fn includes(&self, path: &Path) -> bool {
        self.entries.contains(path)
            || self.folders.contains(path)
            || path.parent().is_some_and(|folder| self.folders.contains(folder))
    }
}

impl Folders {
    /// Tells `changed`; without it, nothing is watched.
    pub(super) fn new(changed: Option<Arc<Notify>>) -> Self {
        let relevant = Arc::new(Mutex::new(Relevant::default()));
        let watcher = changed.and_then(|changed| {
            let relevant = Arc::clone(&relevant);
            let handler = move |event: notify::Result<notify::Event>| {
                if matters(&event, &relevant) {
                    changed.notify_one();
                }
            };
            notify::recommended_watcher(handler)
                .inspect_err(|error| tracing::warn!(%error, "changes of manifests are only seen by polling"))
                .ok()
        });
        Self { watcher, watched: BTreeSet::new(), relevant }
    }

    /// Watches what was found, and what `paths` depend on, instead of what was watched so far. Whether that are
    /// folders that have not been watched before.
    pub(super) fn watch(&mut self, paths: &[PathBuf], found: &Found) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let relevant = relevant(paths, found);
        let wanted: BTreeSet<PathBuf> = relevant
            .folders
            .iter()
            .cloned()
            .chain(relevant.entries.iter().filter_map(|entry| entry.parent().map(Path::to_owned)))
            .collect();
        *self.relevant.lock().unwrap_or_else(PoisonError::into_inner) = relevant;
        for folder in self.watched.difference(&wanted) {
            // Gone already, as a rule.
            let _ = watcher.unwatch(folder);
        }
        let mut is_new = false;
        self.watched = wanted
            .into_iter()
            .filter(|folder| {
                let was_watched = self.watched.contains(folder);
                // Again, also where it was watched: another folder may have taken its place.
                match watcher.watch(folder, RecursiveMode::NonRecursive) {
                    Ok(()) => {
                        is_new |= !was_watched;
                        true
                    }
                    Err(error) => {
                        tracing::warn!(%error, folder = %folder.display(), "changes in here are only seen by polling");
                        false
                    }
                }
            })
            .collect();
        is_new
    }
}

fn matters(event: &notify::Result<notify::Event>, relevant: &Mutex<Relevant>) -> bool {
    match event {
        // Something was missed.
        Err(_) => true,
        Ok(event) if event.need_rescan() => true,
        // Reading, our own too.
        Ok(event) if event.kind.is_access() => false,
        Ok(event) => {
            let relevant = relevant.lock().unwrap_or_else(PoisonError::into_inner);
            event.paths.iter().any(|path| relevant.includes(path))
        }
    }
}

fn relevant(paths: &[PathBuf], found: &Found) -> Relevant {
    let mut relevant = Relevant::default();
    relevant.folders.extend(found.folders.iter().filter_map(|folder| std::path::absolute(folder).ok()));
    for path in paths.iter().chain(&found.files) {
        if let Ok(path) = std::path::absolute(path) {
            trail(&path, MAX_LINKS, &mut relevant.entries);
        }
    }
    relevant
}

/// Links behind links that are followed; as Linux does.
const MAX_LINKS: usize = 40;

/// Everything that decides what stands at `path`: each link on the way there, and the last entry, or of a path that
/// leads nowhere, the first that is missing.
fn trail(path: &Path, links: usize, entries: &mut BTreeSet<PathBuf>) {
    let mut so_far = PathBuf::new();
    let mut components = path.components();
    while let Some(component) = components.next() {
        so_far.push(component);
        match so_far.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => {
                entries.insert(so_far.clone());
                if let (Ok(target), Some(folder), Some(links)) =
                    (so_far.read_link(), so_far.parent(), links.checked_sub(1))
                {
                    trail(&folder.join(target).join(components.as_path()), links, entries);
                }
                return;
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    entries.insert(so_far);
}
