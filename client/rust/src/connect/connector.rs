//! Connectors: a unix socket, and TLS over TCP.
//!
//! tonic's own TLS takes its certificates once and for all; here they are followed.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use gavel_tls::ClientTls;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Uri;
use tower::{BoxError, Service, ServiceExt as _};

use crate::security::words;

/// The only protocol that is spoken.
pub(crate) const ALPN: &[u8] = b"h2";

type Connecting<S> = Pin<Box<dyn Future<Output = Result<TokioIo<S>, BoxError>> + Send>>;

/// Opens a unix socket, whatever the URI.
#[derive(Clone, Debug)]
pub(crate) struct Socket(pub(crate) PathBuf);

impl Service<Uri> for Socket {
    type Response = TokioIo<UnixStream>;
    type Error = BoxError;
    type Future = Connecting<UnixStream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let path = self.0.clone();
        Box::pin(async move { Ok(TokioIo::new(UnixStream::connect(path).await?)) })
    }
}

/// TLS over TCP.
#[derive(Clone)]
pub(crate) struct Secured {
    tcp: HttpConnector,
    tls: TlsConnector,
    name: ServerName<'static>,
    refusal: Refusal,
}

impl Secured {
    /// By these certificates, to a server whose certificate is for `name`.
    pub(crate) fn new(tls: &ClientTls, name: ServerName<'static>, refusal: Refusal) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        Self { tcp, tls: TlsConnector::from(tls.config.clone()), name, refusal }
    }
}

impl Service<Uri> for Secured {
    type Response = TokioIo<Heard>;
    type Error = BoxError;
    type Future = Connecting<Heard>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { tcp, tls, name, refusal } = self.clone();
        Box::pin(async move {
            let stream = tcp.oneshot(uri).await?.into_inner();
            let stream = tls.connect(name, stream).await?;
            if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
                return Err(io::Error::other(
                    "it speaks TLS, but not HTTP/2 (no ALPN h2): is it a gRPC server?",
                )
                .into());
            }
            Ok(TokioIo::new(Heard { stream, is_taken: false, refusal }))
        })
    }
}

/// Why the server ended TLS, as it last said; shared by whoever tells of the connection.
///
/// With TLS 1.3 a server looks at the client's certificate after the client has begun to talk
/// (<https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2.4>). Its alert comes in the place of the first answer, and
/// HTTP/2 makes `connection closed` of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal(Arc<Mutex<Option<String>>>);

impl Refusal {
    /// In words.
    pub(crate) fn words(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that is listened to for refusals.
pub(crate) struct Heard {
    stream: TlsStream<TcpStream>,
    /// Whether anything came: then this side was taken.
    is_taken: bool,
    refusal: Refusal,
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, into));
        match &read {
            Ok(()) if !self.is_taken && !into.filled().is_empty() => {
                self.is_taken = true;
                *self.refusal.lock() = None;
            }
            Ok(()) => {}
            Err(error) => {
                let inside = error.get_ref().and_then(|inside| inside.downcast_ref::<rustls::Error>());
                if let Some(rustls::Error::AlertReceived(alert)) = inside {
                    *self.refusal.lock() = Some(words::refused(*alert));
                }
            }
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
