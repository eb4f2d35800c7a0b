//! A token in a file that somebody else writes anew, as the kubelet does with projected service account tokens.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gavel_tls::Followed;
use tonic::metadata::AsciiMetadataValue;

use super::status::Watched;
use crate::error::Error;

/// The file is not read more often than this on account of refusals.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// A token that is followed.
#[derive(Debug)]
pub(super) struct Token {
    path: PathBuf,
    /// As it is sent; marked as sensitive, so that it is never printed.
    followed: Followed<AsciiMetadataValue>,
    read: Mutex<Read>,
}

/// What was read on account of refusals.
#[derive(Debug, Default)]
struct Read {
    last: Option<Instant>,
    /// A newer one than that which was being followed then, which is next to it.
    newer: Option<(Arc<AsciiMetadataValue>, AsciiMetadataValue)>,
}

impl Token {
    pub(super) async fn open(path: PathBuf, every: Duration, watched: &Arc<Watched>) -> Result<Self, Error> {
        let events = Watched::events(watched, "token");
        let followed = gavel_tls::parsed(&path, header, every, events)
            .await
            .map_err(|error| Error::Security(format!("token: {error}")))?;
        Ok(Self { path, followed, read: Mutex::default() })
    }

    /// The token as it is sent.
    pub(super) fn current(&self) -> AsciiMetadataValue {
        let followed = self.followed.current();
        match &self.lock().newer {
            Some((than, newer)) if Arc::ptr_eq(than, &followed) => newer.clone(),
            _ => AsciiMetadataValue::clone(&followed),
        }
    }

    /// A server refused this one: is there another by now? The file is read at once, as the next look may be too late.
    pub(super) async fn is_renewed(&self, refused: &AsciiMetadataValue) -> bool {
        if self.current() != *refused {
            return true;
        }
        let followed = self.followed.current();
        {
            let mut read = self.lock();
            if read.last.is_some_and(|last| last.elapsed() < READ_AGAIN) {
                return false;
            }
            read.last = Some(Instant::now());
        }
        let path = self.path.clone();
        // What cannot be read, or sent, is told by whoever follows the file.
        match tokio::task::spawn_blocking(move || gavel_tls::load_parsed(path, header)).await {
            Ok(Ok(newer)) if newer != *refused => {
                self.lock().newer = Some((followed, newer));
                true
            }
            _ => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks whether a file holds a token.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    gavel_tls::load_parsed(path, header).map(drop).map_err(|error| Error::Security(format!("token: {error}")))
}

/// `Bearer` and the token, as RFC 6750 (2.1) has it. What is wrong with it never tells what is in it.
fn header(text: &str) -> Result<AsciiMetadataValue, String> {
    let token = text.trim();
    let is_of_a_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || !token.bytes().all(is_of_a_token) {
        return Err("is no token: one word of letters, digits and -._~+/= (RFC 6750)".to_owned());
    }
    let mut value =
        AsciiMetadataValue::try_from(format!("Bearer {token}")).map_err(|_| "cannot be sent".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::header;

    #[test]
    fn what_is_sent() {
        let sent = header("eyJhbGciOi.J9-_~+/==\n").unwrap();
        assert_eq!(sent.to_str().unwrap(), "Bearer eyJhbGciOi.J9-_~+/==");
        assert!(!format!("{sent:?}").contains("eyJ"), "never printed");
        for wrong in ["", " \n", "two words", "line\nline", "ümlaut", "a\"b", "Bearer x"] {
            assert!(header(wrong).is_err(), "{wrong:?}");
        }
    }
}
