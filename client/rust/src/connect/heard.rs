//! Streams that are listened to: why a server does not talk, where HTTP/2 says no more than `connection closed`.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::security::words;

/// The first byte of an alert of TLS (<https://www.rfc-editor.org/rfc/rfc8446#section-5.1>). HTTP/2 begins with the length
/// of a small frame, which begins with 0.
const ALERT: u8 = 21;

/// Why the server does not talk, as far as is known; shared by whoever tells of the connection.
///
/// With TLS 1.3 a server looks at the client's certificate after the client has begun to talk
/// (<https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2.4>). Its alert comes in the place of the first answer, and
/// HTTP/2 makes `connection closed` of it. And a
/// server that wants TLS says nothing that HTTP/2 could read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal(Arc<Mutex<Option<String>>>);

impl Refusal {
    /// In words.
    pub(crate) fn words(&self) -> Option<String> {
        self.lock().clone()
    }

    /// A new connection is made: what the last one was told may be so no more.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that is listened to.
pub(crate) struct Heard<S> {
    stream: S,
    /// Whether anything came that could be HTTP/2: then this side was taken.
    is_taken: bool,
    /// What is told where nothing comes, and nothing is said.
    otherwise: &'static str,
    refusal: Refusal,
}

impl<S> Heard<S> {
    pub(crate) fn new(stream: S, otherwise: &'static str, refusal: Refusal) -> Self {
        Self { stream, is_taken: false, otherwise, refusal }
    }

    fn came(&mut self, bytes: &[u8]) {
        if bytes.first() == Some(&ALERT) {
            *self.refusal.lock() = Some(words::WANTS_TLS.to_owned());
        } else {
            self.is_taken = true;
            self.refusal.forget();
        }
    }

    /// The connection ends. If nothing ever came, an alert may be lost: what was sent meanwhile makes a reset of the
    /// server's end, which throws away what had not been read.
    fn is_over(&self, error: Option<&io::Error>) {
        let inside =
            error.and_then(io::Error::get_ref).and_then(|inside| inside.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(alert)) = inside {
            *self.refusal.lock() = Some(words::refused(*alert));
        } else if !self.is_taken {
            self.refusal.lock().get_or_insert_with(|| self.otherwise.to_owned());
        }
    }

    fn looked<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &result {
            self.is_over(Some(error));
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, into));
        match (&read, into.filled().get(before..)) {
            (Ok(()), None | Some([])) => self.is_over(None),
            (Ok(()), Some(bytes)) if !self.is_taken => self.came(bytes),
            (Ok(()), Some(_)) => {}
            (Err(error), _) => self.is_over(Some(error)),
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.looked(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.looked(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.looked(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
