//! Opens connections at a rate, and tells how long that took.

use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// Threads that connect: each waits for its own.
const THREADS: usize = 32;

/// Opens up to so many connections, so many a second (0: one after the other), for so long at most, and prints how many
/// came about, how many did not, and the microseconds each of the former took, sorted.
pub(super) fn connects(
    address: &str,
    port: &str,
    count: &str,
    rate: &str,
    seconds: &str,
) -> anyhow::Result<()> {
    let to = SocketAddr::new(address.parse()?, port.parse()?);
    let (count, rate): (u64, f64) = (count.parse()?, rate.parse()?);
    let most = Duration::from_secs(seconds.parse()?);
    let next = AtomicU64::new(0);
    let failed = AtomicU64::new(0);
    let times = Mutex::new(Vec::new());
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..if rate > 0.0 { THREADS } else { 1 } {
            scope.spawn(|| {
                let mut own = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    // When it is due, and not when a thread has time for it: a connection that is late counts as slow.
                    let due = if rate > 0.0 {
                        began + Duration::from_secs_f64(number as f64 / rate)
                    } else {
                        Instant::now()
                    };
                    if number >= count || began.elapsed() > most {
                        break;
                    }
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    match connect(&to) {
                        Ok(()) => own.push(u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX)),
                        Err(_) => drop(failed.fetch_add(1, Ordering::Relaxed)),
                    }
                }
                if let Ok(mut times) = times.lock() {
                    times.extend(own);
                }
            });
        }
    });
    let mut times = times.into_inner().unwrap_or_default();
    times.sort_unstable();
    println!("{} {}", times.len(), failed.into_inner());
    for time in times {
        println!("{time}");
    }
    Ok(())
}

fn connect(to: &SocketAddr) -> std::io::Result<()> {
    let socket = Socket::new(Domain::for_address(*to), Type::STREAM, None)?;
    // Closed by a reset, so that a port is free for the next one at once.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.connect_timeout(&(*to).into(), Duration::from_millis(900))?;
    drop(TcpStream::from(socket));
    Ok(())
}
