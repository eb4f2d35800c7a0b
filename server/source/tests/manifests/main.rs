//! Reading and watching real files.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test, a panic is the report"
)]

mod read;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};

/// A folder that is gone after the test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and makes the folders above it.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Puts a new file in the place of the old one, as editors do.
    fn replace(&self, name: &str, text: &str) {
        let path = self.write(&format!("{name}.new~"), text);
        fs::rename(path, self.path(name)).unwrap();
    }

    fn link(&self, name: &str, target: impl AsRef<Path>) {
        std::os::unix::fs::symlink(target, self.path(name)).unwrap();
    }

    /// What a kubelet makes of a ConfigMap: `..data` leads to a folder with a time in its name, and the files to
    /// `..data`. A second call swaps.
    fn config_map(&self, time: &str, files: &[(&str, &str)]) {
        for (name, text) in files {
            self.write(&format!("..{time}/{name}"), text);
            if fs::symlink_metadata(self.path(name)).is_err() {
                self.link(name, format!("..data/{name}"));
            }
        }
        self.link("..data_tmp", format!("..{time}"));
        fs::rename(self.path("..data_tmp"), self.path("..data")).unwrap();
    }
}

/// A namespace with a label.
fn namespace(name: &str, label: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels: {{is: {label}, kubernetes.io/metadata.name: {name}}}\n"
    )
}
