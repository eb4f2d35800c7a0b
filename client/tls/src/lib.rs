//! Certificates, keys and authorities from PEM files that are followed, and rustls configurations made of them.
//!
//! [`serve`] is for whoever listens, [`connect`] for whoever connects, [`text()`] and [`parsed`] for tokens
//! and key sets. Each reads its files once, and fails if they cannot be used; from then on a task looks at them again and
//! again, and what was last good stays until there is something better. Whoever wants to use it asks
//! [`Followed::current`] each time.
//!
//! Contents are compared, not times: a Secret is mounted as links that are switched, which reports of the file system
//! tell nothing of. Certificate and key are two files, and may be seen when one of them is new already. The two do not
//! go together then, the old ones stay, and a later look finds both.
//!
//! rustls is used with its safe defaults (TLS 1.2 and 1.3) and the provider aws-lc-rs, which is named explicitly: the
//! process needs no default provider.

mod client;
mod error;
mod event;
mod files;
mod follow;
mod pem;
mod server;
mod text;

pub use client::{ClientFiles, ClientTls};
pub use error::Error;
pub use event::Event;
pub use follow::Followed;
pub use pem::Validity;
pub use server::{ServerFiles, ServerTls};
pub use text::{load_parsed, load_text};

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;

/// What a server serves TLS with. `alpn` names the protocols it speaks, the preferred one first (`b"h2"`).
///
/// Must be called within a tokio runtime; the files are followed until every [`Followed`] is dropped.
///
/// # Errors
/// When the files cannot be used to begin with.
pub async fn serve(
    files: ServerFiles,
    alpn: &[&[u8]],
    interval: Duration,
    events: impl Fn(Event) + Send + Sync + 'static,
) -> Result<Followed<ServerTls>, Error> {
    follow::start(server::Recipe::new(files, alpn), interval, events).await
}

/// What a client connects with. `alpn` names the protocols it speaks, the preferred one first (`b"h2"`).
///
/// Must be called within a tokio runtime; the files are followed until every [`Followed`] is dropped.
///
/// # Errors
/// When the files cannot be used to begin with.
pub async fn connect(
    files: ClientFiles,
    alpn: &[&[u8]],
    interval: Duration,
    events: impl Fn(Event) + Send + Sync + 'static,
) -> Result<Followed<ClientTls>, Error> {
    follow::start(client::Recipe::new(files, alpn), interval, events).await
}

/// A text that is followed, such as a token or a JSON Web Key Set; as it is in the file, line ends included.
///
/// Must be called within a tokio runtime; the file is followed until every [`Followed`] is dropped.
///
/// # Errors
/// When the file cannot be read, is empty, or is no text.
pub async fn text(
    path: impl AsRef<Path>,
    interval: Duration,
    events: impl Fn(Event) + Send + Sync + 'static,
) -> Result<Followed<String>, Error> {
    parsed(path, text::as_it_is, interval, events).await
}

/// A text that is followed, as what it means: a text that `parse` refuses, with why, leaves the last good one in place.
///
/// Must be called within a tokio runtime; the file is followed until every [`Followed`] is dropped.
///
/// # Errors
/// When the file cannot be read, is empty, is no text, or has no meaning.
pub async fn parsed<T: Send + Sync + 'static>(
    path: impl AsRef<Path>,
    parse: impl Fn(&str) -> Result<T, String> + Send + Sync + 'static,
    interval: Duration,
    events: impl Fn(Event) + Send + Sync + 'static,
) -> Result<Followed<T>, Error> {
    follow::start(text::Recipe::new(path.as_ref(), parse), interval, events).await
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
