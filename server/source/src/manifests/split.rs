//! From a file's text to its YAML documents.
//!
//! Documents are cut apart by lines, as kubectl does, before any of them is read: so a mistake in one leaves the
//! others alone, and every message can say which document, and which line, it is about.

/// One YAML document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Document<'a> {
    /// Its text, without the separator.
    pub(super) text: &'a str,
    /// Line of the file that the text begins in, from 1.
    pub(super) first_line: usize,
}

impl Document<'_> {
    /// Line of the file in which something stands, neither empty nor a comment; `None`: there is no such line.
    pub(super) fn content_line(&self) -> Option<usize> {
        let has_content = |line: &str| {
            let line = line.trim();
            !(line.is_empty() || line.starts_with('#') || line == "...")
        };
        self.text.lines().position(has_content).map(|index| self.first_line + index)
    }
}

/// The documents of `text`, in order, those without content included.
pub(super) fn documents(text: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let (mut start, mut first_line) = (0, 1);
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if let Some(skipped) = separator(line) {
            documents.push(Document { text: &text[start..offset], first_line });
            start = offset + skipped;
            first_line = index + 1;
        }
        offset += line.len();
    }
    documents.push(Document { text: &text[start..], first_line });
    documents
}

/// Of a separator line, how much of it is not yet the next document's: a document may begin behind the dashes.
fn separator(line: &str) -> Option<usize> {
    let rest = line.strip_prefix("---")?;
    (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])).then_some("---".len())
}

#[cfg(test)]
mod tests;
