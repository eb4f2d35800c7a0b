//! A certificate issued here, kept in a folder.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use super::issue::{Kept, Order};
use super::pair::Pair;

/// Issues what is missing in a folder.
pub(super) fn ensure(folder: &Path, order: &Order) -> anyhow::Result<Kept> {
    fs::create_dir_all(folder).with_context(|| format!("--out {}", folder.display()))?;
    let kept = order.fill(read(folder)?.as_ref())?;
    if kept.issued.is_some() {
        let Pair { authorities, certificate, key } = &kept.pair;
        // Whoever reads in between finds a key and a certificate that do not go together, and looks again.
        write(folder, "ca.crt", authorities, 0o644)?;
        write(folder, "tls.key", key, 0o600)?;
        write(folder, "tls.crt", certificate, 0o644)?;
    }
    Ok(kept)
}

fn read(folder: &Path) -> anyhow::Result<Option<Pair>> {
    let read = |name: &str| match fs::read(folder.join(name)) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| folder.join(name).display().to_string()),
    };
    let pair = Pair { authorities: read("ca.crt")?, certificate: read("tls.crt")?, key: read("tls.key")? };
    Ok((pair != Pair::default()).then_some(pair))
}

/// A file is there whole, or not at all.
fn write(folder: &Path, name: &str, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let path = folder.join(name);
    let written = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.persist(&path)?;
        Ok(())
    };
    written().with_context(|| path.display().to_string())
}
