//! Serves ports: HTTP for whoever asks by it, and an echo for others.

use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;

use anyhow::Context as _;
use socket2::{Domain, Socket, Type};

use super::{Protocol, protocol, sctp};

/// Connections that may wait to be taken: more than come at once.
const BACKLOG: i32 = 4096;

/// Serves all of these, such as `TCP:80`, until it is killed; says `serving` once it does.
pub(super) fn serve(services: &[&str]) -> anyhow::Result<()> {
    let mut threads = Vec::new();
    for service in services {
        let (name, port) = service.split_once(':').context("a service is PROTOCOL:PORT")?;
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port.parse()?));
        match protocol(name)? {
            Protocol::Tcp => {
                let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
                socket.set_only_v6(false)?;
                socket.set_reuse_address(true)?;
                socket.bind(&address.into())?;
                socket.listen(BACKLOG)?;
                let listener: std::net::TcpListener = socket.into();
                threads.push(thread::spawn(move || {
                    for stream in listener.incoming().flatten() {
                        // Many short connections: most have their turn without a thread of their own.
                        thread::spawn(move || answer(stream));
                    }
                }));
            }
            Protocol::Udp => {
                let socket = UdpSocket::bind(address)?;
                threads.push(thread::spawn(move || {
                    let mut buffer = [0; 65_536];
                    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                        let _ = socket.send_to(&buffer[..length], from);
                    }
                }));
            }
            Protocol::Sctp => {
                for domain in [Domain::IPV4, Domain::IPV6] {
                    let port = address.port();
                    let socket = sctp::socket(domain)?;
                    threads.push(thread::spawn(move || sctp::serve(&socket, port)));
                }
            }
        }
    }
    println!("serving");
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

fn answer(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(length) = stream.read(&mut buffer) {
        if length == 0 {
            return;
        }
        if buffer.starts_with(b"GET ") {
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\nserved\n");
            return;
        }
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}
