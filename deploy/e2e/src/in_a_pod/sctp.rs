//! SCTP by hand, as far as opening an association goes: the kernel's own is often not there, but its packets are followed
//! all the same (RFC 9260).

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

const IPPROTO_SCTP: i32 = 132;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SOURCE_PORT: u16 = 36_412;
const HEADER: usize = 12;

/// A socket for whole SCTP packets.
pub(super) fn socket(domain: Domain) -> anyhow::Result<Socket> {
    Ok(Socket::new(domain, Type::RAW, Some(Protocol::from(IPPROTO_SCTP)))?)
}

/// Answers each INIT to this port.
pub(super) fn serve(socket: &Socket, port: u16) {
    let udp: UdpSocket = match socket.try_clone() {
        Ok(socket) => socket.into(),
        Err(_) => return,
    };
    let mut buffer = [0; 2048];
    // A raw socket is received from as any other that has no connection.
    while let Ok((length, from)) = udp.recv_from(&mut buffer) {
        let Some(packet) = packet(&buffer[..length], Some(from.ip())) else { continue };
        if ports(packet).1 == port && packet.get(HEADER) == Some(&INIT) {
            let (theirs, _) = ports(packet);
            let _ = udp.send_to(&message(port, theirs, INIT_ACK), SocketAddr::new(from.ip(), 0));
        }
    }
}

/// Whether an INIT is answered.
pub(super) fn reach(address: IpAddr, port: u16, within: Duration) -> anyhow::Result<bool> {
    let socket = socket(if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 })?;
    socket.connect(&SocketAddr::from((address, 0)).into())?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    socket.send(&message(SOURCE_PORT, port, INIT))?;
    let until = Instant::now() + within;
    let mut buffer = [0; 2048];
    while Instant::now() < until {
        let Ok(length) = (&socket).read(&mut buffer) else { continue };
        let Some(packet) = packet(&buffer[..length], Some(address)) else { continue };
        if ports(packet) == (port, SOURCE_PORT) && packet.get(HEADER) == Some(&INIT_ACK) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The SCTP packet in what a raw socket received: of IPv4 the header comes with it.
fn packet(bytes: &[u8], from: Option<IpAddr>) -> Option<&[u8]> {
    let start = match from?.to_canonical() {
        IpAddr::V4(_) => usize::from(bytes.first()? & 15) * 4,
        IpAddr::V6(_) => 0,
    };
    bytes.get(start..).filter(|packet| packet.len() > HEADER)
}

fn ports(packet: &[u8]) -> (u16, u16) {
    (u16::from_be_bytes([packet[0], packet[1]]), u16::from_be_bytes([packet[2], packet[3]]))
}

/// A packet of one chunk: INIT or INIT ACK, of an initiate tag of 1, a window, a stream each way.
fn message(from: u16, to: u16, kind: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(from.to_be_bytes());
    bytes.extend(to.to_be_bytes());
    // An INIT has no verification tag; an answer has the one that was asked for.
    bytes.extend(u32::from(kind == INIT_ACK).to_be_bytes());
    bytes.extend([0; 4]);
    let chunk = [&[0, 0, 0, 1][..], &[0, 1, 0, 0], &[0, 1, 0, 1], &[0, 0, 0, 1]].concat();
    // An answer needs a cookie: parameter 7, of four bytes.
    let cookie: &[u8] = if kind == INIT_ACK { &[0, 7, 0, 8, 1, 2, 3, 4] } else { &[] };
    bytes.extend([kind, 0]);
    bytes.extend(((4 + chunk.len() + cookie.len()) as u16).to_be_bytes());
    bytes.extend(chunk);
    bytes.extend(cookie);
    let sum = crc32c(&bytes);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Castagnoli's CRC, which the kernel verifies before it follows a packet.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}
