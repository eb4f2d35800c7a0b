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
/// What events and failures are told of.
const WHAT: &str = "token";

/// A token that is followed.
#[derive(Debug)]
pub(super) struct Token {
    path: PathBuf,
    followed: Followed<String>,
    kept: Mutex<Kept>,
    watched: Arc<Watched>,
}

#[derive(Debug)]
struct Kept {
    /// The text that was last looked at.
    text: Arc<String>,
    /// The last that could be sent. Marked as sensitive, so that it is never printed.
    value: AsciiMetadataValue,
    /// When the file was last read on account of a refusal.
    read: Option<Instant>,
}

impl Token {
    pub(super) async fn open(path: PathBuf, every: Duration, watched: Arc<Watched>) -> Result<Self, Error> {
        let events = Watched::events(&watched, WHAT);
        let followed = gavel_tls::text(&path, every, events)
            .await
            .map_err(|error| Error::Security(format!("token: {error}")))?;
        let text = followed.current();
        let value =
            header(&text).map_err(|why| Error::Security(format!("token: {}: {why}", path.display())))?;
        Ok(Self { path, followed, kept: Mutex::new(Kept { text, value, read: None }), watched })
    }

    /// The token as it is sent.
    pub(super) fn current(&self) -> AsciiMetadataValue {
        let now = self.followed.current();
        let mut kept = self.lock();
        if !Arc::ptr_eq(&now, &kept.text) {
            match header(&now) {
                Ok(value) => kept.value = value,
                Err(why) => self.watched.failed(WHAT, told(&self.path, why)),
            }
            kept.text = now;
        }
        kept.value.clone()
    }

    /// A server refused this one: is there another by now? The file is read at once, as the next look may be too late.
    pub(super) async fn is_renewed(&self, refused: &AsciiMetadataValue) -> bool {
        if self.current() != *refused {
            return true;
        }
        {
            let mut kept = self.lock();
            if kept.read.is_some_and(|read| read.elapsed() < READ_AGAIN) {
                return false;
            }
            kept.read = Some(Instant::now());
        }
        let path = self.path.clone();
        // What cannot be read, or sent, is told by whoever follows the file.
        let Ok(Ok(text)) = tokio::task::spawn_blocking(move || gavel_tls::load_text(path)).await else {
            return false;
        };
        match header(&text) {
            Ok(value) if value != *refused => {
                self.lock().value = value;
                true
            }
            _ => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(path: &Path, why: &str) -> String {
    let told = format!("{}: {why}", path.display());
    tracing::error!(error = told, "token: the new one cannot be used, the old one stays");
    told
}

/// `Bearer` and the token, as RFC 6750 (2.1) has it. What is wrong with it never tells what is in it.
fn header(text: &str) -> Result<AsciiMetadataValue, &'static str> {
    let token = text.trim();
    let is_of_a_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || !token.bytes().all(is_of_a_token) {
        return Err("is no token: one word of letters, digits and -._~+/= (RFC 6750)");
    }
    let mut value = AsciiMetadataValue::try_from(format!("Bearer {token}")).map_err(|_| "cannot be sent")?;
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
