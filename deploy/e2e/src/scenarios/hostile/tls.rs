//! Attacks on a server that wants to know who asks.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

use super::frames::connect;

const PAUSE: Duration = Duration::from_millis(20);

/// Bytes that are no TLS.
pub(super) fn junk(address: SocketAddr) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        loop {
            for _ in 0..10 {
                if let Ok(mut stream) = connect(address).await {
                    let _ = stream.write_all(&[0x16, 3, 1, 2, 0, 0xff].repeat(100)).await;
                }
            }
            sleep(PAUSE).await;
        }
    })
}

/// Handshakes that begin, and do not go on: a ClientHello that is announced, and of which nothing comes.
pub(super) fn stalled(address: SocketAddr) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let mut open = Vec::new();
        loop {
            for _ in 0..20 {
                if open.len() < 400
                    && let Ok(mut stream) = connect(address).await
                {
                    let _ = stream.write_all(&[0x16, 3, 1, 2, 0]).await;
                    open.push(stream);
                }
            }
            sleep(PAUSE).await;
        }
    })
}
