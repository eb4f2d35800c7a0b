//! HTTPS: who gets a connection, for how long, and how connections end.
//!
//! A loop of our own over hyper: a webhook is to outlive whoever connects and says nothing, or says it slowly, and the
//! ready-made servers know no limits of connections, and no time for what comes before a request.

mod connection;
mod places;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Callers;
use crate::metrics::{Metrics, Turned};
use connection::Limits;
use places::Places;
pub(crate) use tls::Tls;

/// Serves HTTPS until told to stop, and then until the requests in flight are answered, or `drain` is over.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Tls,
    callers: &Callers,
    router: Router,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    drain: Duration,
) {
    let places = Places::new(callers.max_connections, callers.max_connections_per_address);
    let (connections, closing) = (TaskTracker::new(), CancellationToken::new());
    let (limits, told) = (Limits::new(callers), Told::default());
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = stop.cancelled() => break,
        };
        let place = match places.take(peer.ip()) {
            Ok(place) => place,
            Err(turned) => {
                metrics.turned_away(turned);
                continue;
            }
        };
        let (tls, router, metrics, closing) = (tls.clone(), router.clone(), metrics.clone(), closing.clone());
        let told = told.clone();
        connections.spawn(async move {
            if let Some(stream) = shake(stream, peer, &tls, limits.handshake, &metrics, &told).await {
                let _counted = metrics.connected();
                connection::serve(stream, router, limits, closing).await;
            }
            drop(place);
        });
    }
    // Whoever connects from now on is refused by the operating system, and asks another replica.
    drop(listener);
    closing.cancel();
    connections.close();
    if tokio::time::timeout(drain, connections.wait()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            seconds = drain.as_secs(),
            "what was in flight was cut off"
        );
    }
}

/// The next connection. That one breaks before it is taken is nothing; that there are no descriptors left may pass.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be taken");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn shake(
    stream: TcpStream,
    peer: SocketAddr,
    tls: &Tls,
    time: Duration,
    metrics: &Metrics,
    told: &Told,
) -> Option<tls::Stream> {
    // Answers are small, and waited for.
    let _ = stream.set_nodelay(true);
    let (turned, error) = match tokio::time::timeout(time, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => (Turned::HandshakeFailed, error.to_string()),
        Err(_) => (Turned::HandshakeTimeout, format!("not done within {} s", time.as_secs())),
    };
    metrics.turned_away(turned);
    if told.is_due() {
        tracing::warn!(%peer, error, "no TLS: others of the next minute are in the metrics alone");
    } else {
        tracing::debug!(%peer, error, "no TLS");
    }
    None
}

/// When it was last told that TLS failed: whoever connects must not be able to fill the log.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Option<Instant>>>);

impl Told {
    fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| last.elapsed() > Duration::from_secs(60));
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}
