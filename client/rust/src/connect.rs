//! Addresses: TCP, and unix sockets.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Endpoint, Uri};
use tower::Service;

use crate::error::Error;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Opens a unix socket, whatever the URI.
#[derive(Clone, Debug)]
pub(crate) struct Socket(PathBuf);

/// The endpoint of an address, and the socket to reach it by where that is not TCP.
pub(crate) fn endpoint(address: &str) -> Result<(Endpoint, Option<Socket>), Error> {
    let wrong = || Error::Address { address: address.to_owned() };
    let (uri, socket) = match address.strip_prefix("unix:") {
        Some("") => return Err(wrong()),
        // HTTP/2 wants an authority; a socket has none.
        Some(path) => ("http://localhost".to_owned(), Some(Socket(path.into()))),
        None if address.starts_with("http://") => (address.to_owned(), None),
        None if address.contains("://") || !address.contains(':') => return Err(wrong()),
        None => (format!("http://{address}"), None),
    };
    let endpoint = Endpoint::from_shared(uri).map_err(|_| wrong())?;
    Ok((endpoint.connect_timeout(CONNECT).tcp_nodelay(true), socket))
}

impl Service<Uri> for Socket {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let path = self.0.clone();
        Box::pin(async move { Ok(TokioIo::new(UnixStream::connect(path).await?)) })
    }
}
