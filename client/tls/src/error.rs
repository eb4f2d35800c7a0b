//! What can be wrong with files. Never what is in them: they hold keys.

use std::path::{Path, PathBuf};

/// Why files cannot be used. Names the file; says nothing of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{}: {why}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the operating system says.
        why: String,
    },
    /// Its content cannot be used.
    #[error("{}: {why}", file.display())]
    Content {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Two files that do not belong together.
    #[error("{} and {}: certificate and private key do not belong together", cert.display(), key.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The private key's file.
        key: PathBuf,
    },
    /// rustls cannot be set up.
    #[error("TLS: {0}")]
    Tls(String),
}

impl Error {
    pub(crate) fn unreadable(file: &Path, why: &impl ToString) -> Self {
        Error::Unreadable { file: file.to_owned(), why: why.to_string() }
    }

    pub(crate) fn content(file: &Path, why: impl Into<String>) -> Self {
        Error::Content { file: file.to_owned(), why: why.into() }
    }
}
