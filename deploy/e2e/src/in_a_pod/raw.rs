//! Sends bytes as they are, IPv4 header included.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, ensure};
use socket2::{Domain, Protocol, Socket, Type};

/// The protocol of a socket that headers are handed to, `IPPROTO_RAW`.
const RAW: i32 = 255;

/// Sends a packet, given as hexadecimal digits, to where `destination` is routed.
pub(super) fn send(destination: &str, digits: &str) -> anyhow::Result<()> {
    ensure!(digits.len().is_multiple_of(2), "an odd number of digits");
    let bytes: Result<Vec<u8>, _> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16)).collect();
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW)))?;
    socket.set_header_included_v4(true)?;
    let to: IpAddr = destination.parse()?;
    socket.send_to(&bytes?, &SocketAddr::new(to, 0).into()).context("the packet was not sent")?;
    Ok(())
}
