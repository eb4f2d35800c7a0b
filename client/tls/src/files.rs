//! Files, read whole.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::Error;

/// More than any bundle, revocation list or key set in use; less than would hurt.
const MOST_BYTES: u64 = 16 << 20;
/// Permission of everybody to read.
const OTHERS_READ: u32 = 0o004;

/// A file's content. It may be a private key: neither shown nor compared by anything but equality.
#[derive(PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    /// Whether everybody on the machine may read it.
    pub(crate) is_public: bool,
}

/// Reads all of the files, or tells of the first that cannot be read. Blocks.
pub(crate) fn read(files: &[PathBuf]) -> Result<Vec<Content>, Error> {
    files.iter().map(|file| read_one(file)).collect()
}

fn read_one(path: &Path) -> Result<Content, Error> {
    let unreadable = |error: std::io::Error| Error::unreadable(path, &error);
    // Before it is opened: to open a pipe is to wait for whoever writes into it.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(Error::unreadable(path, &"not a regular file"));
    }
    let file = File::open(path).map_err(unreadable)?;
    let is_public = file.metadata().map_err(unreadable)?.permissions().mode() & OTHERS_READ != 0;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Error::unreadable(path, &format!("larger than {} MiB", MOST_BYTES >> 20)));
    }
    Ok(Content { bytes, is_public })
}
