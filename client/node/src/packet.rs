//! From the bytes of a packet to the flow that it begins.

use std::net::IpAddr;

use etherparse::{IpNumber, Ipv6ExtensionSlice, LaxNetSlice, LaxSlicedPacket};

use crate::flow::{Flow, Protocol};

/// Why no flow can be told from a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Neither IPv4 nor IPv6, or a header that cannot be.
    NotIp,
    /// A fragment: ports are only in the first one, and the kernel puts fragments together before they come here, unless
    /// somebody has told it not to.
    Fragment,
    /// Ends before its ports.
    Truncated,
    /// A protocol without ports, by its number, and whose.
    OtherProtocol { number: u8, source: IpAddr, destination: IpAddr },
    /// TCP, UDP or SCTP to port 0, where nobody listens.
    PortZero,
    /// Its header names further stops: where it goes in the end is not where it goes next.
    SourceRoute,
}

/// Numbers of IPv4 options: loose and strict source route (RFC 791).
const LSRR: u8 = 131;
const SSRR: u8 = 137;

/// Fewest bytes of a header of each protocol.
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const SCTP_HEADER: usize = 12;

/// The flow that a packet belongs to. `bytes` begins with the IP header, and may end before the packet does, but not
/// before its ports.
///
/// # Errors
/// When no flow can be told, and why.
pub(crate) fn read(bytes: &[u8]) -> Result<Flow, Unreadable> {
    let packet = LaxSlicedPacket::from_ip(bytes).map_err(|_| Unreadable::NotIp)?;
    let (source, destination, payload) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            if has_source_route(header.options()) {
                return Err(Unreadable::SourceRoute);
            }
            (IpAddr::V4(header.source_addr()), IpAddr::V4(header.destination_addr()), ip.payload())
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let is_routed = |extension| match extension {
                Ipv6ExtensionSlice::Routing(routing) => routing.payload().get(1) != Some(&0),
                _ => false,
            };
            if ip.extensions().clone().into_iter().any(is_routed) {
                return Err(Unreadable::SourceRoute);
            }
            let header = ip.header();
            (IpAddr::V6(header.source_addr()), IpAddr::V6(header.destination_addr()), ip.payload())
        }
        Some(LaxNetSlice::Arp(_)) | None => return Err(Unreadable::NotIp),
    };
    if payload.fragmented {
        return Err(Unreadable::Fragment);
    }
    let (protocol, header) = match payload.ip_number {
        IpNumber::TCP => (Protocol::Tcp, TCP_HEADER),
        IpNumber::UDP => (Protocol::Udp, UDP_HEADER),
        IpNumber::SCTP => (Protocol::Sctp, SCTP_HEADER),
        // What follows was cut off: what would be taken for its protocol is the header before it.
        IpNumber(0 | 43 | 44 | 51 | 60 | 135 | 139 | 140) => return Err(Unreadable::Truncated),
        IpNumber(number) => return Err(Unreadable::OtherProtocol { number, source, destination }),
    };
    match payload.payload {
        // All three have both ports first: source, destination.
        [_, _, high, low, ..] if payload.payload.len() >= header => {
            let port = u16::from_be_bytes([*high, *low]);
            if port == 0 {
                return Err(Unreadable::PortZero);
            }
            Ok(Flow { source, destination, protocol, port })
        }
        _ => Err(Unreadable::Truncated),
    }
}

/// Whether IPv4 options have a source route that is not used up: its pointer (RFC 791, section 3.1) is within it.
fn has_source_route(mut options: &[u8]) -> bool {
    loop {
        match options {
            [] | [0, ..] => return false,
            [1, rest @ ..] => options = rest,
            [LSRR | SSRR, length, pointer, ..] if pointer <= length => return true,
            [_, length, ..] if usize::from(*length) >= 2 && usize::from(*length) <= options.len() => {
                options = &options[usize::from(*length)..];
            }
            // No options that can be read.
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{IpFragOffset, Ipv4Header, Ipv6Header, PacketBuilder};
    use proptest::prelude::*;

    use super::*;

    fn tcp4(port: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        let packet = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(40_000, port, 1, 1024).syn();
        packet.write(&mut bytes, &[]).unwrap();
        bytes
    }

    fn udp6(port: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        let [from, to] = ["fd00::1", "fd00::2"].map(|ip| ip.parse::<std::net::Ipv6Addr>().unwrap().octets());
        PacketBuilder::ipv6(from, to, 64).udp(40_000, port).write(&mut bytes, b"hello").unwrap();
        bytes
    }

    fn flow(source: &str, destination: &str, protocol: Protocol, port: u16) -> Flow {
        Flow { source: source.parse().unwrap(), destination: destination.parse().unwrap(), protocol, port }
    }

    /// An IPv6 packet of these bytes after its header.
    fn ip6(next: u8, payload: &[u8]) -> Vec<u8> {
        let header = Ipv6Header {
            payload_length: payload.len() as u16,
            next_header: IpNumber(next),
            hop_limit: 64,
            source: [0xfd; 16],
            destination: [0xfc; 16],
            ..Ipv6Header::default()
        };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend(payload);
        bytes
    }

    fn ip4(protocol: u8, options: &[u8], payload: &[u8], offset: u16, more: bool) -> Vec<u8> {
        let (from, to) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let mut header = Ipv4Header::new(payload.len() as u16, 64, IpNumber(protocol), from, to).unwrap();
        header.options = options.try_into().unwrap();
        header.set_payload_len(payload.len()).unwrap();
        header.fragment_offset = IpFragOffset::try_new(offset).unwrap();
        header.more_fragments = more;
        header.dont_fragment = false;
        header.header_checksum = header.calc_header_checksum();
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn flows_are_told() {
        assert_eq!(read(&tcp4(80)), Ok(flow("10.0.0.1", "10.0.0.2", Protocol::Tcp, 80)));
        assert_eq!(read(&udp6(53)), Ok(flow("fd00::1", "fd00::2", Protocol::Udp, 53)));
        // SCTP: INIT, from 40000 to 3868.
        let sctp = [0x9c, 0x40, 0x0f, 0x1c, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 4];
        assert_eq!(
            read(&ip4(132, &[], &sctp, 0, false)),
            Ok(flow("10.0.0.1", "10.0.0.2", Protocol::Sctp, 3868))
        );
        // Behind destination options (8 bytes), and a routing header that is used up.
        let mut payload = vec![43, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0];
        payload.extend([0x9c, 0x40, 0, 53, 0, 8, 0, 0]);
        assert_eq!(read(&ip6(60, &payload)).unwrap().port, 53);
        // An IPv4 packet with an option that matters to nobody here: router alert.
        assert_eq!(read(&ip4(17, &[148, 4, 0, 0], &[0, 1, 0, 53, 0, 8, 0, 0], 0, false)).unwrap().port, 53);
    }

    #[test]
    fn what_is_cut_off_behind_the_ports_is_still_told() {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(1, 53);
        builder.write(&mut bytes, &[0; 1000]).unwrap();
        assert_eq!(read(&bytes[..128]).unwrap().port, 53);
    }

    #[test]
    fn what_cannot_be_told_is_not_guessed() {
        let udp = [0x9c, 0x40, 0, 53, 0, 8, 0, 0];
        let other = |number, ends: [&str; 2]| {
            let [source, destination] = ends.map(|ip| ip.parse().unwrap());
            Unreadable::OtherProtocol { number, source, destination }
        };
        let (four, fd, fc) = (["10.0.0.1", "10.0.0.2"], [0xfd; 16], [0xfc; 16]);
        let [fd, fc] = [fd, fc].map(|octets| IpAddr::from(octets).to_string());
        let six = [fd.as_str(), fc.as_str()];
        let cases: Vec<(&str, Vec<u8>, Unreadable)> = vec![
            ("nothing", vec![], Unreadable::NotIp),
            ("version 5", vec![0x55; 40], Unreadable::NotIp),
            ("half a header", tcp4(80)[..12].to_vec(), Unreadable::NotIp),
            ("a header shorter than it may be", [&[0x41], &tcp4(80)[1..]].concat(), Unreadable::NotIp),
            ("no ports", tcp4(80)[..20].to_vec(), Unreadable::Truncated),
            ("half of the TCP header", tcp4(80)[..30].to_vec(), Unreadable::Truncated),
            ("half of the UDP header", udp6(53)[..44].to_vec(), Unreadable::Truncated),
            ("port 0", tcp4(0), Unreadable::PortZero),
            ("the first fragment", ip4(17, &[], &udp, 0, true), Unreadable::Fragment),
            ("another fragment", ip4(17, &[], &udp, 8, false), Unreadable::Fragment),
            (
                "a fragment of IPv6",
                ip6(44, &[17, 0, 0, 9, 0, 0, 0, 1, 0x9c, 0x40, 0, 53, 0, 8, 0, 0]),
                Unreadable::Fragment,
            ),
            ("ICMP", ip4(1, &[], &[8, 0, 0, 0, 0, 0, 0, 0], 0, false), other(1, four)),
            ("ICMPv6", ip6(58, &[128, 0, 0, 0, 0, 0, 0, 0]), other(58, six)),
            ("IP in IP", ip4(4, &[], &tcp4(80), 0, false), other(4, four)),
            ("an unknown protocol", ip4(253, &[], &udp, 0, false), other(253, four)),
            (
                "a loose source route",
                ip4(17, &[LSRR, 7, 4, 10, 0, 0, 9, 0], &udp, 0, false),
                Unreadable::SourceRoute,
            ),
            (
                "a strict source route behind another option",
                ip4(17, &[1, SSRR, 7, 4, 10, 0, 0, 9], &udp, 0, false),
                Unreadable::SourceRoute,
            ),
            (
                "a routing header with stops to come",
                ip6(43, &[&[17, 0, 4, 1, 0, 0, 0, 0][..], &udp].concat()),
                Unreadable::SourceRoute,
            ),
            ("an extension header cut off", ip6(60, &[17]), Unreadable::Truncated),
        ];
        for (what, bytes, expected) in cases {
            assert_eq!(read(&bytes), Err(expected), "{what}");
        }
        // A source route that is used up leads nowhere else.
        assert!(read(&ip4(17, &[LSRR, 7, 8, 10, 0, 0, 9, 0], &udp, 0, false)).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn packets_that_something_happened_to_are_read(
            is_ipv6 in any::<bool>(),
            place in 0usize..60,
            byte in any::<u8>(),
            length in 0usize..60,
        ) {
            let mut bytes = if is_ipv6 { udp6(53) } else { tcp4(80) };
            if let Some(place) = bytes.get_mut(place) {
                *place = byte;
            }
            let _ = read(&bytes[..length.min(bytes.len())]);
        }
    }
}
