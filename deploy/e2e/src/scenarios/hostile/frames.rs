//! HTTP/2 by hand, for what no library would send (RFC 9113).

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};

/// What every client begins with, and settings that say nothing.
pub(super) const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// What every client begins with, up to its settings.
pub(super) const WITHOUT_SETTINGS: &[u8] = HELLO.split_at(24).0;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const END_STREAM: u8 = 1;

/// A frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The headers of a call, compressed as little as can be (RFC 7541).
pub(super) fn call(path: &str) -> Vec<u8> {
    // :method POST and :scheme http, by their numbers.
    let mut block = vec![0x83, 0x86];
    // :path, by the number of its name.
    block.push(0x04);
    text(&mut block, path);
    literal(&mut block, ":authority", "gavel");
    literal(&mut block, "content-type", "application/grpc");
    literal(&mut block, "te", "trailers");
    block
}

/// A header that is in no table, and gets into none.
pub(super) fn literal(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    text(block, name);
    text(block, value);
}

/// A header that gets into the table of those that are remembered, as its first: number 62.
pub(super) fn kept(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0x40);
    text(block, name);
    text(block, value);
}

/// A header that is in a table already, by its number.
pub(super) const fn indexed(number: u8) -> u8 {
    0x80 | number
}

/// A string that is not compressed; its length is an integer with a prefix of seven bits.
fn text(block: &mut Vec<u8>, text: &str) {
    let mut rest = text.len();
    if rest < 127 {
        block.push(u8::try_from(rest).unwrap_or_default());
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap_or_default() | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap_or_default());
    }
    block.extend(text.as_bytes());
}

/// Where attackers come from: another address than the well-behaved caller's, whom limits are held against.
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

/// A connection of an attacker.
pub(super) async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((ATTACKER, 0).into())?;
    socket.connect(address).await
}
