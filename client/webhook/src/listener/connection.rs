//! One connection: its requests, and its end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::tls::Stream;
use crate::config::Callers;

/// How long whoever is told that the connection ends may take to let go.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often whoever is connected by HTTP/2 is asked for a sign of life, and how long that may take.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// What one connection may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) handshake: Duration,
    idle: Duration,
    headers: u32,
    streams: u32,
}

impl Limits {
    pub(super) fn new(callers: &Callers) -> Self {
        Self {
            handshake: Duration::from_secs(callers.handshake_seconds),
            idle: Duration::from_secs(callers.idle_seconds),
            headers: callers.max_header_bytes,
            // What an API server's HTTP/2 client keeps to, too.
            streams: callers.max_in_flight.min(250),
        }
    }
}

/// Serves a connection until it ends, is idle for too long, or all are to close.
pub(super) async fn serve(stream: Stream, router: Router, limits: Limits, closing: CancellationToken) {
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let activity = Arc::new(Activity::default());
    let counted = activity.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (router, begun) = (router.clone(), counted.begin());
        async move {
            let answer: Result<Response, Infallible> = router.oneshot(request.map(Body::new)).await;
            drop(begun);
            answer
        }
    });
    let stream = TokioIo::new(stream);
    if is_http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(limits.headers)
            .keep_alive_interval(SIGN_OF_LIFE)
            .keep_alive_timeout(SIGN_OF_LIFE)
            .serve_connection(stream, service);
        drive(connection, &activity, limits.idle, closing).await;
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle)
            .max_buf_size(limits.headers as usize)
            .serve_connection(stream, service);
        drive(connection, &activity, limits.idle, closing).await;
    }
}

/// Lets a connection go on as long as it may, and then end: what is in flight is answered, and no more is taken.
async fn drive<C: GracefulConnection>(
    connection: C,
    activity: &Activity,
    idle: Duration,
    closing: CancellationToken,
) {
    let mut connection = pin!(connection);
    let is_closing = tokio::select! {
        // How it ended is its peer's business.
        _ = connection.as_mut() => return,
        () = activity.idle_for(idle) => false,
        () = closing.cancelled() => true,
    };
    connection.as_mut().graceful_shutdown();
    let lingering = async {
        loop {
            tokio::time::sleep(FAREWELL).await;
            // Where all are to close, time for that is given elsewhere.
            if !is_closing && !activity.is_busy() {
                break;
            }
        }
    };
    tokio::select! {
        _ = connection => {}
        () = lingering => {}
    }
}

/// When there was last a request.
#[derive(Debug)]
struct Activity {
    in_flight: AtomicUsize,
    last: Mutex<Instant>,
}

/// A request that is being answered.
struct Begun(Arc<Activity>);

impl Default for Activity {
    fn default() -> Self {
        Self { in_flight: AtomicUsize::new(0), last: Mutex::new(Instant::now()) }
    }
}

impl Activity {
    fn begin(self: &Arc<Self>) -> Begun {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Begun(self.clone())
    }

    fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// Resolves once there has been no request for this long.
    async fn idle_for(&self, time: Duration) {
        loop {
            let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let until = if self.is_busy() { Instant::now() + time } else { last + time };
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
