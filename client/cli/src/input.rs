//! Files that are named on the command line; `-` is standard input.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;

/// The bytes of a file, and what messages call it.
pub(crate) fn read(path: &Path) -> anyhow::Result<(Vec<u8>, String)> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("standard input")?;
        return Ok((bytes, "standard input".to_owned()));
    }
    let name = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| name.clone())?;
    Ok((bytes, name))
}

/// The lines of a file that say something, with their numbers from 1.
pub(crate) fn lines<'a>(bytes: &'a [u8], name: &str) -> anyhow::Result<Vec<(usize, &'a str)>> {
    let text = std::str::from_utf8(bytes).with_context(|| format!("{name} is not UTF-8 text"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim().is_empty())
        .collect())
}
