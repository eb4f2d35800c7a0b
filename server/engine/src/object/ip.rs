//! Reading of addresses and CIDRs as Kubernetes does.
//!
//! From `k8s.io/utils/net`, `ParseIPSloppy` and `ParseCIDRSloppy`: Go's parser of before 1.17, to which leading zeros
//! mean nothing (`010.0.0.1` is `10.0.0.1`). IPv4-mapped IPv6 addresses are IPv4 throughout, as in `net.IP`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Go's `dtoi` and `xtoi` give up at this value.
const BIG: u32 = 0xFF_FFFF;

/// A CIDR as written: its network, and the prefix length as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// Host bits cleared; IPv4-mapped networks are IPv4.
    pub net: IpNet,
    /// The number behind the slash; of an IPv4-mapped network 96 more than that of `net`.
    pub written_prefix: u8,
}

/// Reads an address, or says `None`.
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    let bytes = text.as_bytes();
    parse_ipv4(bytes).map(IpAddr::V4).or_else(|| parse_ipv6(bytes).map(|ip| IpAddr::V6(ip).to_canonical()))
}

/// Reads a CIDR, or says `None`.
pub fn parse_cidr(text: &str) -> Option<Cidr> {
    let (address, mask) = text.split_once('/')?;
    let address = match parse_ipv4(address.as_bytes()) {
        Some(ip) => IpAddr::V4(ip),
        None => IpAddr::V6(parse_ipv6(address.as_bytes())?),
    };
    let (prefix, rest) = number(mask.as_bytes(), 10)?;
    let written_prefix = u8::try_from(prefix).ok().filter(|_| rest.is_empty())?;
    let net = match address {
        IpAddr::V4(ip) => IpNet::V4(Ipv4Net::new(ip, written_prefix).ok()?.trunc()),
        IpAddr::V6(ip) => {
            let net = Ipv6Net::new(ip, written_prefix).ok()?.trunc();
            // Of a shorter prefix the mapping's own bits are masked away: no IPv4 address is in such a network.
            match (net.network().to_ipv4_mapped(), written_prefix.checked_sub(96)) {
                (Some(ip), Some(prefix)) => IpNet::V4(Ipv4Net::new(ip, prefix).ok()?),
                _ => IpNet::V6(net),
            }
        }
    };
    Some(Cidr { net, written_prefix })
}

/// `dtoi`, `xtoi`: the number at the start, and what follows it.
fn number(text: &[u8], radix: u32) -> Option<(u32, &[u8])> {
    let mut value = 0u32;
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let Some(digit) = char::from(*first).to_digit(radix) else { break };
        value = value * radix + digit;
        if value >= BIG {
            return None;
        }
        rest = tail;
    }
    (rest.len() < text.len()).then_some((value, rest))
}

fn parse_ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut rest = text;
    for (index, octet) in octets.iter_mut().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let (value, tail) = number(rest, 10)?;
        *octet = u8::try_from(value).ok()?;
        rest = tail;
    }
    rest.is_empty().then(|| octets.into())
}

fn parse_ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    let mut groups: Vec<u16> = Vec::with_capacity(8);
    // Where `::` stands: the number of groups before it.
    let mut ellipsis = None;
    let mut rest = text;
    if let Some(tail) = rest.strip_prefix(b"::") {
        ellipsis = Some(0);
        rest = tail;
        if rest.is_empty() {
            return Some(Ipv6Addr::UNSPECIFIED);
        }
    }
    while groups.len() < 8 {
        let (value, tail) = number(rest, 16)?;
        let group = u16::try_from(value).ok()?;
        if tail.first() == Some(&b'.') {
            // An IPv4 address at the end: it stands for the last two groups.
            if (ellipsis.is_none() && groups.len() != 6) || groups.len() > 6 {
                return None;
            }
            let [a, b, c, d] = parse_ipv4(rest)?.octets();
            groups.extend([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]);
            rest = &[];
            break;
        }
        groups.push(group);
        rest = tail;
        if rest.is_empty() {
            break;
        }
        rest = rest.strip_prefix(b":").filter(|rest| !rest.is_empty())?;
        if let Some(tail) = rest.strip_prefix(b":") {
            if ellipsis.is_some() {
                return None;
            }
            ellipsis = Some(groups.len());
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
    }
    if !rest.is_empty() {
        return None;
    }
    let missing = 8usize.checked_sub(groups.len())?;
    match ellipsis {
        Some(_) if missing == 0 => return None,
        Some(at) => {
            groups.splice(at..at, std::iter::repeat_n(0, missing));
        }
        None if missing > 0 => return None,
        None => {}
    }
    <[u16; 8]>::try_from(groups).ok().map(Ipv6Addr::from)
}

#[cfg(test)]
mod tests;
