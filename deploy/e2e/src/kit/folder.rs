//! Where a run keeps its files: a folder a scenario, with the logs of its processes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;

/// Folder of one scenario, or of what several share.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    files: AtomicU32,
}

impl Folder {
    /// Makes the folder.
    pub(crate) fn new(run: &Path, name: &str) -> anyhow::Result<Self> {
        let path = run.join(name);
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(Self { path, files: AtomicU32::new(0) })
    }

    /// A path in the folder that was not given out before: `1-NAME`, `2-NAME`, …
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        let number = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        self.path.join(format!("{number}-{name}"))
    }

    /// Writes a new file.
    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.file(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}
