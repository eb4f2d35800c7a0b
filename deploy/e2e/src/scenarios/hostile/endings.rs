//! What ends a connection whose client does nothing to end it, and that it is counted.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, HELLO, SETTINGS, WITHOUT_SETTINGS, call, connect, frame,
};
use super::{headers, tls};
use crate::kit::GavelServer;

/// A silent client is looked for every 30 seconds, and given 10 more; everything else ends sooner.
const MOST: Duration = Duration::from_secs(90);

/// What is sent, and the reason that the server counts; none where it cannot tell it from a client that went away.
type Ending = (&'static str, Vec<u8>, Option<&'static str>);

/// Of a server in clear.
pub(super) fn in_clear() -> Vec<Ending> {
    vec![
        ("nothing", Vec::new(), Some("silent")),
        ("a part of the preface", HELLO[..10].to_vec(), Some("silent")),
        ("a part of the headers", headers::half_of_headers(), None),
        ("a question whose answer may not be sent", unreadable_answer(), Some("stuck")),
    ]
}

/// Of one with TLS.
pub(super) fn over_tls() -> Vec<Ending> {
    vec![
        ("no TLS", tls::no_tls(), Some("handshake_failed")),
        ("a part of a handshake", tls::ANNOUNCED.to_vec(), Some("handshake_timeout")),
    ]
}

/// A whole question, of a client that gives no room for a single byte of the answer.
fn unreadable_answer() -> Vec<u8> {
    const INITIAL_WINDOW_SIZE: [u8; 6] = [0, 4, 0, 0, 0, 0];
    let mut bytes = WITHOUT_SETTINGS.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &INITIAL_WINDOW_SIZE));
    bytes.extend(frame(HEADERS, END_HEADERS, 1, &call("/gavel.v1.PolicyDecision/GetSnapshot")));
    bytes.extend(frame(DATA, END_STREAM, 1, &[0; 5]));
    bytes
}

/// Each connection is ended by the server, and counted as what it was.
pub(super) async fn each(server: &GavelServer, endings: Vec<Ending>) -> anyhow::Result<()> {
    let before = counts(server).await?;
    let ended = endings.iter().map(|(what, bytes, _)| ended(server.address, what, bytes));
    futures_util::future::try_join_all(ended).await?;
    let after = counts(server).await?;
    for (what, _, reason) in &endings {
        let Some(reason) = reason else { continue };
        let of = |counts: &[(String, f64)]| {
            let label = format!("reason=\"{reason}\"");
            counts.iter().find(|(name, _)| name.contains(&label)).map(|(_, count)| *count)
        };
        let (before, after) = (of(&before), of(&after));
        ensure!(after.is_some() && after > before, "{what}: {reason} was {before:?}, is {after:?}");
    }
    Ok(())
}

async fn counts(server: &GavelServer) -> anyhow::Result<Vec<(String, f64)>> {
    server.metric("gavel_connections_rejected_total").await
}

/// Sends this, and reads until the server ends the connection.
async fn ended(address: SocketAddr, what: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let mut stream = connect(address).await?;
    stream.write_all(bytes).await?;
    let until_the_end = async {
        let mut read = [0; 4096];
        // A reset is an end, too.
        while stream.read(&mut read).await.is_ok_and(|count| count > 0) {}
    };
    timeout(MOST, until_the_end).await.with_context(|| format!("{what}: not ended within {MOST:?}"))
}
