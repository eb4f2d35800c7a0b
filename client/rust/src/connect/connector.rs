//! Connectors: a unix socket, and TLS over TCP.
//!
//! tonic's own TLS takes its certificates once and for all; here they are followed.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use gavel_tls::ClientTls;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Uri;
use tower::{BoxError, Service, ServiceExt as _};

use super::heard::{Heard, Refusal};
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

/// TCP, as it is.
#[derive(Clone)]
pub(crate) struct Plain {
    tcp: HttpConnector,
    refusal: Refusal,
}

impl Plain {
    pub(crate) fn new(refusal: Refusal) -> Self {
        Self { tcp: tcp(), refusal }
    }
}

impl Service<Uri> for Plain {
    type Response = TokioIo<Heard<TcpStream>>;
    type Error = BoxError;
    type Future = Connecting<Heard<TcpStream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { tcp, refusal } = self.clone();
        refusal.forget();
        Box::pin(async move {
            let stream = tcp.oneshot(uri).await?.into_inner();
            Ok(TokioIo::new(Heard::new(stream, words::CLOSED, refusal)))
        })
    }
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp
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
        Self { tcp: tcp(), tls: TlsConnector::from(tls.config.clone()), name, refusal }
    }
}

impl Service<Uri> for Secured {
    type Response = TokioIo<Heard<TlsStream<TcpStream>>>;
    type Error = BoxError;
    type Future = Connecting<Heard<TlsStream<TcpStream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { tcp, tls, name, refusal } = self.clone();
        refusal.forget();
        Box::pin(async move {
            let stream = tcp.oneshot(uri).await?.into_inner();
            let stream = tls.connect(name, stream).await?;
            if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
                return Err(io::Error::other(
                    "it speaks TLS, but not HTTP/2 (no ALPN h2): is it a gRPC server?",
                )
                .into());
            }
            Ok(TokioIo::new(Heard::new(stream, words::CLOSED_AFTER_TLS, refusal)))
        })
    }
}
