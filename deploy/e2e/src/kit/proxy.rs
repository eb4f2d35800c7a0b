//! A TCP proxy that can do to connections what networks do to them.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::ports::free_port;

/// What becomes of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They pass.
    Pass,
    /// Connections are closed, and new ones too.
    Cut,
    /// Connections stay open, new ones are taken, and nothing passes: nobody is told.
    Stall,
    /// They pass in small pieces, each this much later.
    Slow(Duration),
}

/// A proxy in front of one server. Its connections end with it.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    mode: watch::Sender<Mode>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy that lets everything pass.
    pub(crate) async fn start(server: SocketAddr) -> anyhow::Result<Self> {
        let address = free_port()?;
        let listener = TcpListener::bind(address).await?;
        let (mode, modes) = watch::channel(Mode::Pass);
        let task = tokio::spawn(serve(listener, server, modes));
        Ok(Self { address, mode, task })
    }

    /// From now on, for connections there are and those to come.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Mode::Cut);
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, server: SocketAddr, modes: watch::Receiver<Mode>) {
    while let Ok((client, _)) = listener.accept().await {
        if *modes.borrow() != Mode::Cut {
            tokio::spawn(connection(client, server, modes.clone()));
        }
    }
}

async fn connection(client: TcpStream, server: SocketAddr, modes: watch::Receiver<Mode>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    // Once one direction ends, so does the other: neither side is left with half a connection.
    tokio::select! {
        () = pump(client_in, server_out, modes.clone()) => {}
        () = pump(server_in, client_out, modes) => {}
    }
}

/// Passes bytes on until an end closes, or the connection is cut.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut modes: watch::Receiver<Mode>) {
    let mut cut = modes.clone();
    let cut = async move {
        let _ = cut.wait_for(|mode| *mode == Mode::Cut).await;
    };
    let pass = async move {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
            let mut rest = &buffer[..read];
            while !rest.is_empty() {
                // What was read before a stall waits here until it is over.
                let Ok(mode) = modes.wait_for(|mode| *mode != Mode::Stall).await.map(|mode| *mode) else {
                    return;
                };
                let size = match mode {
                    Mode::Slow(pause) => {
                        tokio::time::sleep(pause).await;
                        rest.len().min(1400)
                    }
                    _ => rest.len(),
                };
                let (piece, after) = rest.split_at(size);
                if to.write_all(piece).await.is_err() {
                    return;
                }
                rest = after;
            }
        }
    };
    tokio::select! {
        () = cut => {}
        () = pass => {}
    }
}
