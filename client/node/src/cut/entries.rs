//! Connections that the kernel knows, as the program conntrack lists them.

use std::net::IpAddr;

use crate::flow::{Flow, Protocol};

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) protocol: Protocol,
    /// As it was opened: addresses and ports, before they were translated.
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) ports: (u16, u16),
    /// What policies look at: the destination is who answers.
    pub(super) flow: Flow,
    pub(super) zone: Option<String>,
}

impl Entry {
    /// What the program is told to have it forget this one.
    pub(super) fn deletion(&self) -> Vec<String> {
        let Self { protocol, source, destination, ports, flow: _, zone } = self;
        let mut arguments: Vec<String> =
            ["-D", "-f", if source.is_ipv4() { "ipv4" } else { "ipv6" }, "-p"].map(str::to_owned).into();
        arguments.push(protocol.as_str().to_lowercase());
        for (flag, value) in [
            ("-s", source.to_string()),
            ("-d", destination.to_string()),
            ("--sport", ports.0.to_string()),
            ("--dport", ports.1.to_string()),
        ] {
            arguments.extend([flag.to_owned(), value]);
        }
        if let Some(zone) = zone {
            arguments.extend(["--zone".to_owned(), zone.clone()]);
        }
        arguments
    }
}

/// Reads a line of `conntrack -L`; none: a protocol without ports, or no connection.
///
/// ```text
/// tcp  6 431999 ESTABLISHED src=A dst=B sport=1 dport=2 src=B dst=A sport=2 dport=1 [ASSURED] mark=0 use=1
/// ```
pub(super) fn read(line: &str) -> Option<Entry> {
    let mut words = line.split_whitespace();
    let protocol = match words.next()? {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return None,
    };
    let pairs: Vec<(&str, &str)> = words.filter_map(|word| word.split_once('=')).collect();
    // Each is told twice: as it was opened, and as it is answered.
    let nth = |name: &str, nth: usize| {
        pairs.iter().filter(|(key, _)| *key == name).nth(nth).map(|(_, value)| *value)
    };
    let address = |name, n| nth(name, n)?.parse().ok();
    let port = |name, n| nth(name, n)?.parse().ok();
    let source = address("src", 0)?;
    Some(Entry {
        protocol,
        source,
        destination: address("dst", 0)?,
        ports: (port("sport", 0)?, port("dport", 0)?),
        flow: Flow { source, destination: address("src", 1)?, protocol, port: port("sport", 1)? },
        zone: nth("zone", 0).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = "tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.96.0.10 sport=40000 dport=80 \
                    src=10.0.0.2 dst=10.0.0.1 sport=8080 dport=40000 [ASSURED] mark=0 zone=3 use=1";
        let entry = read(line).unwrap();
        // It was opened to a service's address, and is answered by a pod.
        let flow = Flow {
            source: "10.0.0.1".parse().unwrap(),
            destination: "10.0.0.2".parse().unwrap(),
            protocol: Protocol::Tcp,
            port: 8080,
        };
        assert_eq!(entry.flow, flow);
        let expected = "-D -f ipv4 -p tcp -s 10.0.0.1 -d 10.96.0.10 --sport 40000 --dport 80 --zone 3";
        assert_eq!(entry.deletion().join(" "), expected);
        let line = "udp      17 29 src=fd00::1 dst=fd00::2 sport=5353 dport=53 [UNREPLIED] src=fd00::2 dst=fd00::1 \
                    sport=53 dport=5353 mark=0 use=1";
        let entry = read(line).unwrap();
        assert_eq!((entry.protocol, entry.flow.port), (Protocol::Udp, 53));
        assert_eq!(
            entry.deletion().join(" "),
            "-D -f ipv6 -p udp -s fd00::1 -d fd00::2 --sport 5353 --dport 53"
        );
    }

    #[test]
    fn others_are_left_alone() {
        let ping = "icmp     1 29 src=10.0.0.1 dst=10.0.0.2 type=8 code=0 id=1 src=10.0.0.2 dst=10.0.0.1 type=0 \
                    code=0 id=1 mark=0 use=1";
        for line in ["", ping, "tcp 6", "tcp 6 1 ESTABLISHED src=10.0.0.1 dst=x sport=1 dport=2"] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
