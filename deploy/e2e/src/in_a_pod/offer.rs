//! Offers new connections at a rate, without waiting for any of them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// Connections at a time: each has some fifty milliseconds to come about, at ten thousand a second.
const AT_A_TIME: usize = 512;

/// Offers so many connections a second for so many seconds; prints how many were offered, and how many came about.
pub(super) fn offer(address: &str, port: &str, rate: &str, seconds: &str) -> anyhow::Result<()> {
    let to = SocketAddr::new(address.parse()?, port.parse()?);
    let rate: f64 = rate.parse()?;
    let most = Duration::from_secs(seconds.parse()?);
    let (mut offered, mut came) = (0u64, 0u64);
    let mut open: VecDeque<Socket> = VecDeque::with_capacity(AT_A_TIME);
    let mut settle = |socket: Socket| came += u64::from(socket.peer_addr().is_ok());
    let began = Instant::now();
    while began.elapsed() < most {
        let due = (began.elapsed().as_secs_f64() * rate) as u64;
        if offered >= due {
            thread::sleep(Duration::from_micros(100));
            continue;
        }
        if open.len() == AT_A_TIME
            && let Some(oldest) = open.pop_front()
        {
            settle(oldest);
        }
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.set_linger(Some(Duration::ZERO))?;
        socket.set_nonblocking(true)?;
        // In progress: whether it comes about is seen later.
        let _ = socket.connect(&to.into());
        open.push_back(socket);
        offered += 1;
    }
    thread::sleep(Duration::from_millis(500));
    open.into_iter().for_each(settle);
    println!("{offered} {came}");
    Ok(())
}
