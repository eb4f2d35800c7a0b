//! A cluster and questions as files.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use serde_json::Value;

use crate::Cluster;

/// Objects of a file, at most.
pub const OBJECTS_A_FILE: usize = 1000;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files of manifests.
    pub files: usize,
    /// Objects in them.
    pub objects: usize,
    /// Bytes of them.
    pub bytes: usize,
}

/// Writes `manifests/*.json`, `check-flow.jsonl` and `admit.jsonl` into a folder, which is made if it is not there;
/// files of another cluster that lie in its `manifests` are removed.
///
/// # Errors
/// When something cannot be written.
pub fn write(cluster: &Cluster, folder: &Path, flows: usize, admissions: usize) -> std::io::Result<Written> {
    let manifests = folder.join("manifests");
    match std::fs::remove_dir_all(&manifests) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => std::fs::create_dir_all(&manifests)?,
    }
    let mut written = Written::default();
    let mut objects = cluster.objects().peekable();
    while objects.peek().is_some() {
        let mut text = br#"{"apiVersion":"v1","kind":"List","items":["#.to_vec();
        for (index, object) in objects.by_ref().take(OBJECTS_A_FILE).enumerate() {
            text.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
            serde_json::to_writer(&mut text, &object)?;
            written.objects += 1;
        }
        text.extend_from_slice(b"\n]}\n");
        std::fs::write(manifests.join(format!("{:05}.json", written.files)), &text)?;
        written.files += 1;
        written.bytes += text.len();
    }
    lines(&folder.join("check-flow.jsonl"), cluster.flows().take(flows))?;
    lines(&folder.join("admit.jsonl"), cluster.admissions().take(admissions))?;
    Ok(written)
}

fn lines(path: &Path, values: impl Iterator<Item = Value>) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for value in values {
        serde_json::to_writer(&mut file, &value)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}
