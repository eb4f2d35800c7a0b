//! Sockets and runtimes of an echo.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::answer;

/// As in `server/src/grpc/connection.rs`.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
const SEND_BUFFER: usize = 64 << 10;
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// As `gavel-server` has them unless told otherwise.
const STREAMS: u32 = 256;
const HEADER_BYTES: u32 = 16 << 10;

/// How many runtimes there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// One, of a thread a core
    #[default]
    MultiThread,
    /// One a core, of one thread each
    PerCore,
}

/// Where is listened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(path) => Ok(Self::Unix(path.into())),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|error| format!("{error}: must be ADDRESS:PORT or unix:PATH, like 127.0.0.1:9480")),
        }
    }
}

/// Serves until the process is ended.
///
/// # Errors
/// When it cannot be listened, or there is no runtime.
pub fn serve(listen: &[Listen], mode: Mode) -> anyhow::Result<()> {
    let sockets: Vec<(Listen, Option<std::os::unix::net::UnixListener>)> =
        listen.iter().map(|listen| Ok((listen.clone(), unix(listen)?))).collect::<anyhow::Result<_>>()?;
    if mode == Mode::MultiThread {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(accept(sockets));
    }
    let mut threads = Vec::new();
    for _ in 0..std::thread::available_parallelism()?.get() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = sockets.iter().map(|(listen, unix)| {
            Ok((listen.clone(), unix.as_ref().map(std::os::unix::net::UnixListener::try_clone).transpose()?))
        });
        let shared = shared.collect::<anyhow::Result<_>>()?;
        threads.push(std::thread::spawn(move || runtime.block_on(accept(shared))));
    }
    for thread in threads {
        match thread.join() {
            Ok(ended) => ended?,
            Err(_) => bail!("a runtime panicked"),
        }
    }
    Ok(())
}

/// A socket that all runtimes take connections of; those of TCP have one each (`SO_REUSEPORT`).
fn unix(listen: &Listen) -> anyhow::Result<Option<std::os::unix::net::UnixListener>> {
    let Listen::Unix(path) = listen else { return Ok(None) };
    let listener = std::os::unix::net::UnixListener::bind(path)
        .with_context(|| format!("cannot listen on unix:{}", path.display()))?;
    listener.set_nonblocking(true)?;
    Ok(Some(listener))
}

async fn accept(sockets: Vec<(Listen, Option<std::os::unix::net::UnixListener>)>) -> anyhow::Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for (listen, unix) in sockets {
        match (listen, unix) {
            (Listen::Tcp(address), _) => {
                let listener = tcp(address).with_context(|| format!("cannot listen on {address}"))?;
                tasks.spawn(async move {
                    loop {
                        let (stream, _) = listener.accept().await?;
                        stream.set_nodelay(true)?;
                        connection(stream);
                    }
                });
            }
            (Listen::Unix(_), Some(listener)) => {
                let listener = UnixListener::from_std(listener)?;
                tasks.spawn(async move {
                    loop {
                        connection(listener.accept().await?.0);
                    }
                });
            }
            (Listen::Unix(path), None) => bail!("unix:{} was not opened", path.display()),
        }
    }
    while let Some(ended) = tasks.join_next().await {
        let ended: anyhow::Result<()> = ended?;
        ended?;
    }
    Ok(())
}

fn tcp(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

fn connection(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    tokio::spawn(async move {
        let served = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADER_BYTES)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(KEEP_ALIVE.0)
            .keep_alive_timeout(KEEP_ALIVE.1)
            .serve_connection(TokioIo::new(io), service_fn(answer));
        // How it ended is its client's business.
        let _ = served.await;
    });
}
