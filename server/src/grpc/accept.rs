//! Takes connections in: a place for each, TLS, who is at the other end.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use gavel_tls::{Followed, ServerTls};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::calls::Calls;
use super::connection::{self, Cut};
use super::gate::{Gate, Shared};
use super::incoming::SocketFile;
use super::peer::{Identity, Peer};
use super::workers::Workers;
use crate::limits::{ConnectionSlot, Connections, Full, Key};
use crate::metrics::ConnectionRejection;

/// How long to wait after a connection could not be taken, for want of file descriptors for instance.
const BREATHER: Duration = Duration::from_millis(50);

/// What is served on sockets.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    pub(crate) shared: Arc<Shared>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) settings: connection::Settings,
    /// Which threads serve connections.
    pub(crate) workers: Workers,
    /// TLS of TCP sockets; none: in clear.
    pub(crate) tls: Option<Followed<ServerTls>>,
    /// No more connections are taken, and those that are open end with their requests.
    pub(crate) stop: CancellationToken,
    /// Connections are cut, whatever is in flight.
    pub(crate) cut: CancellationToken,
}

impl Serving {
    /// Serves a TCP socket until told to stop, and then until its connections have ended.
    pub(crate) async fn tcp(self, listener: TcpListener) {
        let tasks = TaskTracker::new();
        while let Some((stream, address)) = self.next(|cx| listener.poll_accept(cx)).await {
            match self.connections.enter(Some(address.ip())) {
                Ok(slot) => {
                    // Answers are small, and each is waited for.
                    let _ = stream.set_nodelay(true);
                    let serving = self.clone();
                    let serve = move |stream| serving.tcp_connection(stream, address, slot);
                    self.workers.serve(&tasks, stream, serve);
                }
                Err(full) => self.shared.metrics.connection_rejected(match full {
                    Full::Server => ConnectionRejection::Limit,
                    Full::Address => ConnectionRejection::AddressLimit,
                }),
            }
        }
        drop(listener);
        tasks.close();
        tasks.wait().await;
    }

    /// Serves a unix socket likewise; its file is removed at the end.
    pub(crate) async fn unix(self, listener: UnixListener, file: SocketFile) {
        let tasks = TaskTracker::new();
        while let Some((stream, _)) = self.next(|cx| listener.poll_accept(cx)).await {
            match self.connections.enter(None) {
                Ok(slot) => {
                    let serving = self.clone();
                    self.workers.serve(&tasks, stream, move |stream| {
                        let peer = Peer::new(&serving.shared, None, Identity::Trusted);
                        serving.serve(stream, peer, slot)
                    });
                }
                Err(_) => self.shared.metrics.connection_rejected(ConnectionRejection::Limit),
            }
        }
        drop((listener, file));
        tasks.close();
        tasks.wait().await;
    }

    /// The next connection; none once told to stop.
    async fn next<T>(&self, mut accept: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>) -> Option<T> {
        loop {
            tokio::select! {
                accepted = poll_fn(&mut accept) => match accepted {
                    Ok(connection) => return Some(connection),
                    // Its caller has gone already.
                    Err(error) if is_of_the_caller(&error) => continue,
                    // For want of file descriptors or memory.
                    Err(error) => tracing::warn!(%error, "a connection could not be taken"),
                },
                () = self.stop.cancelled() => return None,
            }
            tokio::time::sleep(BREATHER).await;
        }
    }

    async fn tcp_connection(self, stream: TcpStream, address: SocketAddr, slot: ConnectionSlot) {
        let Some(tls) = &self.tls else {
            let identity = self.identity(None);
            let peer = Peer::new(&self.shared, Some(address), identity);
            return self.serve(stream, peer, slot).await;
        };
        let acceptor = TlsAcceptor::from(tls.current().config.clone());
        let stream = match timeout(self.settings.handshake, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%address, %error, "TLS handshake failed");
                return self.shared.metrics.connection_rejected(ConnectionRejection::HandshakeFailed);
            }
            Err(_) => {
                tracing::debug!(%address, "TLS handshake took too long");
                return self.shared.metrics.connection_rejected(ConnectionRejection::HandshakeTimeout);
            }
        };
        let identity = self.identity(stream.get_ref().1.peer_certificates());
        let peer = Peer::new(&self.shared, Some(address), identity);
        self.serve(stream, peer, slot).await;
    }

    /// Whom a certificate names.
    fn identity(&self, chain: Option<&[rustls::pki_types::CertificateDer<'_>]>) -> Identity {
        let Some(access) = &self.shared.access else { return Identity::Trusted };
        match chain.map(|chain| access.authenticator.certificate(chain)) {
            None => Identity::Unknown,
            Some(Err(refusal)) => Identity::Nobody(refusal),
            Some(Ok(caller)) => {
                let budget = self.shared.callers.budget(&Key::User(caller.user.name.as_str().into()));
                Identity::Certificate(Arc::new(caller), budget)
            }
        }
    }

    async fn serve<IO>(self, io: IO, peer: Peer, slot: ConnectionSlot)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let address = peer.address;
        let gate = Gate { shared: self.shared.clone(), peer: Arc::new(peer), calls: self.calls.clone() };
        let served = tokio::select! {
            served = connection::serve(io, gate, &self.settings, &self.stop) => served,
            () = self.cut.cancelled() => Ok(()),
        };
        drop(slot);
        if let Err(cut) = served {
            tracing::debug!(?address, ?cut, "connection cut");
            self.shared.metrics.connection_rejected(match cut {
                Cut::Silent => ConnectionRejection::Silent,
                Cut::Stuck => ConnectionRejection::Stuck,
            });
        }
    }
}

fn is_of_the_caller(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}
