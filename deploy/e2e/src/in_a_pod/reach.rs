//! Tries to reach somebody.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::ensure;

use super::{Protocol, protocol, sctp};

const WORD: &[u8] = b"ping\n";

/// Whether what is sent comes back within the time.
pub(super) fn reach(name: &str, address: &str, port: &str, milliseconds: &str) -> anyhow::Result<bool> {
    let (address, port): (IpAddr, u16) = (address.parse()?, port.parse()?);
    let within = Duration::from_millis(milliseconds.parse()?);
    let to = SocketAddr::new(address, port);
    if name == "UDP-LARGE" {
        // Longer than any link takes at once.
        return reach_by_udp(to, within, &[b'x'; 4000]);
    }
    match protocol(name)? {
        Protocol::Tcp => {
            // Refused is an answer that somebody sent, but nobody serves: the scenario is wrong then.
            let mut stream = match TcpStream::connect_timeout(&to, within) {
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                    return Err(error.into());
                }
                Err(_) => return Ok(false),
                Ok(stream) => stream,
            };
            stream.set_read_timeout(Some(within))?;
            stream.write_all(WORD)?;
            let mut answer = [0; WORD.len()];
            Ok(stream.read_exact(&mut answer).is_ok() && answer == *WORD)
        }
        Protocol::Udp => reach_by_udp(to, within, WORD),
        Protocol::Sctp => sctp::reach(address, port, within),
    }
}

fn reach_by_udp(to: SocketAddr, within: Duration, word: &[u8]) -> anyhow::Result<bool> {
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0u8; 16].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(within))?;
    socket.send(word)?;
    let mut answer = [0; 8192];
    match socket.recv(&mut answer) {
        Ok(length) => Ok(answer[..length] == *word),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Err(error.into()),
        Err(_) => Ok(false),
    }
}

/// A connection that stays: for each line on standard input it says `alive` or `dead`.
pub(super) fn keep(address: &str, port: &str) -> anyhow::Result<()> {
    let to = SocketAddr::new(address.parse()?, port.parse()?);
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    println!("connected");
    for line in BufReader::new(std::io::stdin()).lines() {
        let word = format!("{}\n", line?);
        let mut answer = vec![0; word.len()];
        let is_alive = stream.write_all(word.as_bytes()).is_ok() && stream.read_exact(&mut answer).is_ok();
        ensure!(!is_alive || answer == word.as_bytes(), "another answer: {answer:?}");
        println!("{}", if is_alive { "alive" } else { "dead" });
    }
    Ok(())
}
