//! One connection: HTTP/2 with bounded buffers, until it is too old, stuck, or the server stops.

use std::future::poll_fn;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use super::wire::Wire;

/// What a stream and a connection may send before it was read. Questions are small; an object is taken in parts.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// What is kept of answers for a stream whose caller does not read.
const SEND_BUFFER: usize = 64 << 10;
/// How often it is asked whether a silent caller is still there, and how long it may take to say so.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// A time that does not come.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What connections are held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Streams at once, of one connection.
    pub(crate) concurrent_streams: u32,
    /// Bytes of a request's headers.
    pub(crate) header_bytes: u32,
    /// How long the TLS handshake, and then the first bytes of HTTP/2, may take to come.
    pub(crate) handshake: Duration,
    /// When a connection is told to end, so that callers spread over new replicas; none: never.
    pub(crate) age: Option<Duration>,
    /// How long it may take to end then.
    pub(crate) grace: Duration,
}

/// Why a connection was ended by the server, and not by its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Nothing came that could be HTTP/2.
    Silent,
    /// A request did not end.
    Stuck,
}

/// Serves a connection until it ends. `stop` has it end as soon as its requests have.
///
/// # Errors
/// Why it was cut.
pub(super) async fn serve<IO>(
    io: IO,
    gate: Gate,
    settings: &Settings,
    stop: &CancellationToken,
) -> Result<(), Cut>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, outgoing) = Wire::new(io);
    let (in_flight, ending) = (gate.peer.in_flight.clone(), gate.peer.ending.clone());
    // Found stuck after two periods.
    let period = (gate.shared.request_time / 2).max(Duration::from_millis(1));
    let mut connection = pin!(http2(settings).serve_connection(TokioIo::new(io), gate));
    let now = Instant::now();
    let mut silent = pin!(sleep_until(now + settings.handshake));
    let mut old = pin!(sleep_until(now + settings.age.map_or(NEVER, jittered)));
    let mut periods = interval_at(now + period, period);
    periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_greeted = false;
    let mut is_ending = false;
    let mut is_held_back = false;
    loop {
        let served = poll_fn(|cx| {
            let served = connection.as_mut().poll(cx);
            // Others of its requests are about to be answered: theirs goes along. Only once, and for no longer than
            // it takes the tasks that are ready to have their turn.
            if served.is_pending() && !is_held_back && in_flight.any() && outgoing.is_waiting() {
                is_held_back = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            is_held_back = false;
            match outgoing.poll_send(cx) {
                Poll::Ready(Err(_)) => Poll::Ready(()),
                Poll::Ready(Ok(())) | Poll::Pending => served.map(|_| ()),
            }
        });
        tokio::select! {
            // Whatever made it end is its caller's business: a reset, a protocol error, or a good end.
            () = served => return Ok(()),
            () = silent.as_mut(), if !is_greeted => {
                if !outgoing.is_greeted() {
                    return Err(Cut::Silent);
                }
                is_greeted = true;
            }
            _ = periods.tick() => {
                if in_flight.next_period() {
                    return Err(Cut::Stuck);
                }
            }
            () = old.as_mut() => {
                if is_ending {
                    return Ok(());
                }
                is_ending = true;
                ending.cancel();
                connection.as_mut().graceful_shutdown();
                old.as_mut().reset(Instant::now() + settings.grace);
            }
            () = stop.cancelled(), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
                // Whoever told the server to stop knows how long it may take.
                old.as_mut().reset(Instant::now() + NEVER);
            }
        }
    }
}

fn http2(settings: &Settings) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.concurrent_streams)
        .max_header_list_size(settings.header_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1);
    builder
}

/// A tenth more or less, so that callers that came together do not all come back together (as gRPC's servers do:
/// <https://github.com/grpc/proposal/blob/master/A9-server-side-conn-mgt.md>).
fn jittered(age: Duration) -> Duration {
    // Keys of a hasher are random; no more than that is needed here.
    let random = RandomState::new().build_hasher().finish();
    let thousandths = 900 + u32::try_from(random % 201).unwrap_or(100);
    age * thousandths / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_differ_by_a_tenth() {
        let ages: Vec<Duration> = (0..100).map(|_| jittered(Duration::from_secs(100))).collect();
        assert!(ages.iter().all(|age| (90..=110).contains(&age.as_secs())), "{ages:?}");
        assert!(ages.iter().any(|age| *age != ages[0]));
    }
}
