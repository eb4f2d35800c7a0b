//! The bytes of a connection: as they are, whether enough of them came for it to be HTTP/2, and answers sent together.
//!
//! h2 writes to its socket whenever it has an answer of more than a few hundred bytes, one system call each, which costs
//! as much as all the rest of answering. What it writes is gathered here instead, and sent by whoever polls the
//! connection, once it has been polled: all answers that were ready by then go by one call.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of the preface that every HTTP/2 client begins with (RFC 9113, section 3.4).
const PREFACE: usize = 24;
/// How many bytes are gathered before they are sent in any case.
const MOST: usize = 32 << 10;
/// As much as this is not worth gathering, if there is nothing yet.
const MUCH: usize = 8 << 10;
/// What is kept of the room they took.
const KEPT: usize = 16 << 10;

/// A connection, as h2 has it: flushing does nothing, since [`Outgoing`] does.
#[derive(Debug)]
pub(super) struct Wire<IO>(Arc<Mutex<Inner<IO>>>);

/// The same, for whoever polls h2.
#[derive(Debug)]
pub(super) struct Outgoing<IO>(Arc<Mutex<Inner<IO>>>);

#[derive(Debug)]
struct Inner<IO> {
    io: IO,
    /// Bytes of the preface that have not come.
    missing: usize,
    /// What is to be sent, of which so many bytes have been.
    gathered: Vec<u8>,
    sent: usize,
    /// Something was sent and not flushed: TLS holds on to it.
    is_dirty: bool,
}

impl<IO> Wire<IO> {
    /// The connection, and what sends its bytes.
    pub(super) fn new(io: IO) -> (Self, Outgoing<IO>) {
        let inner = Inner { io, missing: PREFACE, gathered: Vec::new(), sent: 0, is_dirty: false };
        let inner = Arc::new(Mutex::new(inner));
        (Self(inner.clone()), Outgoing(inner))
    }
}

/// Nobody else holds it for longer than a call: both ends are of one task.
fn lock<IO>(inner: &Mutex<Inner<IO>>) -> MutexGuard<'_, Inner<IO>> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<IO> Outgoing<IO> {
    /// Whether the client has sent as much as the preface.
    pub(super) fn is_greeted(&self) -> bool {
        lock(&self.0).missing == 0
    }

    /// Whether there is something to send.
    pub(super) fn is_waiting(&self) -> bool {
        let inner = lock(&self.0);
        inner.is_dirty || !inner.gathered.is_empty()
    }
}

impl<IO: AsyncWrite + Unpin> Outgoing<IO> {
    /// Sends what has been gathered.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).poll_send(cx)
    }
}

impl<IO: AsyncWrite + Unpin> Inner<IO> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.gathered.len() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.gathered[self.sent..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
            self.is_dirty = true;
        }
        self.sent = 0;
        self.gathered.clear();
        self.gathered.shrink_to(KEPT);
        if self.is_dirty {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.is_dirty = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Wire<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = lock(&self.0);
        let before = buffer.filled().len();
        ready!(Pin::new(&mut inner.io).poll_read(cx, buffer))?;
        inner.missing = inner.missing.saturating_sub(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Wire<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = lock(&self.0);
        if inner.gathered.is_empty() && bytes.len() >= MUCH {
            inner.is_dirty = true;
            return Pin::new(&mut inner.io).poll_write(cx, bytes);
        }
        if inner.gathered.len() >= MOST {
            ready!(inner.poll_send(cx))?;
        }
        inner.gathered.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Whoever polls the connection sends what was written.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = lock(&self.0);
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.io).poll_shutdown(cx)
    }

    /// So that h2 does not hand over each answer by itself, beside its frame's header.
    fn is_write_vectored(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    fn now() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[tokio::test]
    async fn what_is_written_is_sent_together() {
        let (here, mut there) = duplex(1 << 20);
        let (mut wire, outgoing) = Wire::new(here);
        let mut received = [0; 16];
        assert!(!outgoing.is_waiting());
        wire.write_all(b"one").await.unwrap();
        wire.flush().await.unwrap();
        wire.write_all(b"two").await.unwrap();
        assert!(outgoing.is_waiting());
        let mut reading = Box::pin(there.read(&mut received));
        assert!(reading.as_mut().poll(&mut now()).is_pending(), "nothing has been sent yet");
        poll_fn(|cx| outgoing.poll_send(cx)).await.unwrap();
        assert!(!outgoing.is_waiting());
        assert_eq!(reading.await.unwrap(), 6);
        assert_eq!(&received[..6], b"onetwo");
    }

    #[tokio::test]
    async fn order_is_kept_whatever_the_sizes() {
        let (here, mut there) = duplex(5000);
        let (mut wire, outgoing) = Wire::new(here);
        let sizes = [1, 9000, 3, 8191, 8192, 20_000, 70_000, 2, 40_000, 1];
        let expected: Vec<u8> = sizes
            .iter()
            .enumerate()
            .flat_map(|(index, size)| vec![u8::try_from(index).unwrap(); *size])
            .collect();
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            there.read_to_end(&mut all).await.unwrap();
            all
        });
        for (index, size) in sizes.into_iter().enumerate() {
            let part = vec![u8::try_from(index).unwrap(); size];
            wire.write_all(&part).await.unwrap();
            if index % 3 == 0 {
                poll_fn(|cx| outgoing.poll_send(cx)).await.unwrap();
            }
        }
        // Ends with what was gathered.
        wire.shutdown().await.unwrap();
        drop((wire, outgoing));
        assert!(reader.await.unwrap() == expected);
    }

    #[tokio::test]
    async fn a_reader_that_stops_is_waited_for() {
        let (here, _there) = duplex(100);
        let (mut wire, outgoing) = Wire::new(here);
        let mut taken = 0;
        while let Poll::Ready(written) = Pin::new(&mut wire).poll_write(&mut now(), &[7; 1000]) {
            taken += written.unwrap();
            assert!(taken <= MOST + 1000, "bounded");
        }
        assert!(outgoing.poll_send(&mut now()).is_pending());
        assert!(outgoing.is_waiting());
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_is_noticed() {
        let (here, there) = duplex(100);
        let (mut wire, outgoing) = Wire::new(here);
        wire.write_all(b"answer").await.unwrap();
        drop(there);
        assert!(poll_fn(|cx| outgoing.poll_send(cx)).await.is_err());
    }

    #[tokio::test]
    async fn the_preface_is_noticed() {
        let (here, mut there) = duplex(1000);
        let (mut wire, outgoing) = Wire::new(here);
        let mut buffer = [0; 100];
        there.write_all(&[0; PREFACE - 1]).await.unwrap();
        wire.read_exact(&mut buffer[..PREFACE - 1]).await.unwrap();
        assert!(!outgoing.is_greeted());
        there.write_all(&[0; 1]).await.unwrap();
        wire.read_exact(&mut buffer[..1]).await.unwrap();
        assert!(outgoing.is_greeted());
    }
}
