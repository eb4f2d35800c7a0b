//! A queue of the kernel's, and how to wait for it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::RawFd;

use anyhow::Context as _;
use nfq::{Message, Queue};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Bytes of a packet that are looked at: headers, with all the options and extensions that are usual.
const COPIED: u16 = 512;
/// Protocol of netfilter among netlink's (`NETLINK_NETFILTER`), as `/proc/net/netlink` has it.
const NETFILTER: &str = "12";

/// A queue that packets come by. Packets without a verdict are the kernel's as long as the queue is open, and dropped
/// when it is closed.
#[derive(Debug)]
pub(crate) struct Socket {
    // Dropped before the queue: it is told of by a number that somebody else could have after that.
    ready: Option<AsyncFd<RawFd>>,
    fd: RawFd,
    queue: Debuggable,
}

struct Debuggable(Queue);

impl std::fmt::Debug for Debuggable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue")
    }
}

impl Socket {
    /// Opens the queue of this number. Of packets that find it full, the kernel lets pass all or none. Called by one
    /// thread at a time.
    ///
    /// # Errors
    /// When this process may not, or another one has the queue.
    pub(crate) fn open(number: u16, most: u32, pass_when_full: bool) -> anyhow::Result<Self> {
        let before = sockets()?;
        let queue = Queue::open().context("no netfilter socket: is CAP_NET_ADMIN missing?")?;
        let mut opened = sockets()?.into_iter().filter(|fd| !before.contains(fd));
        let fd =
            opened.next().context("no netfilter socket is to be found among the files of this process")?;
        let mut socket = Self { ready: None, fd, queue: Debuggable(queue) };
        let queue = &mut socket.queue.0;
        queue.bind(number).with_context(|| {
            format!(
                "queue {number} cannot be had: is CAP_NET_ADMIN missing, or has another process the queue? Others are \
                 chosen by --queue"
            )
        })?;
        queue.set_copy_range(number, COPIED)?;
        queue.set_queue_max_len(number, most)?;
        // Packets are passed on as they are: nobody has to take them apart or to compute sums first.
        queue.set_recv_gso(number, true)?;
        queue.set_fail_open(number, pass_when_full)?;
        queue.set_nonblocking(true);
        Ok(socket)
    }

    /// Has this runtime wait for packets.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) fn register(&mut self) -> io::Result<()> {
        // Its successor is unsafe, as numbers of files may become somebody else's: this one is the queue's for as long as
        // the registration lives.
        #[expect(
            deprecated,
            reason = "the queue's file is open as long as this, and unsafe code is forbidden here"
        )]
        let ready = AsyncFd::with_interest(self.fd, Interest::READABLE)?;
        self.ready = Some(ready);
        Ok(())
    }

    /// Waits for packets, and takes those that are there, as many as this at most.
    ///
    /// # Errors
    /// When there will be no more.
    pub(crate) async fn receive(&mut self, packets: &mut Vec<Message>, most: usize) -> io::Result<()> {
        let Some(ready) = &self.ready else { return Err(io::ErrorKind::NotConnected.into()) };
        let mut guard = ready.readable().await?;
        while packets.len() < most {
            match self.queue.0.recv() {
                Ok(packet) => packets.push(packet),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    guard.clear_ready();
                    break;
                }
                // A verdict on a packet that the kernel has given up meanwhile, as when an interface goes; a signal; or
                // something too long to be one packet's, which is left out.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::Interrupted | io::ErrorKind::StorageFull
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells the kernel what becomes of a packet.
    ///
    /// # Errors
    /// When it does not take it.
    pub(crate) fn settle(&mut self, mut packet: Message, allowed: bool) -> io::Result<()> {
        packet.set_verdict(if allowed { nfq::Verdict::Accept } else { nfq::Verdict::Drop });
        self.queue.0.verdict(packet)
    }
}

/// The netfilter sockets of this process. The library does not tell the number of its own.
fn sockets() -> anyhow::Result<HashSet<RawFd>> {
    let list = "/proc/thread-self/net/netlink";
    let text = fs::read_to_string(list).with_context(|| format!("{list} cannot be read"))?;
    let inodes: HashSet<&str> = text
        .lines()
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            (columns.nth(1)? == NETFILTER).then(|| columns.next_back()).flatten()
        })
        .collect();
    let files = fs::read_dir("/proc/thread-self/fd").context("/proc/thread-self/fd cannot be read")?;
    let sockets = files.filter_map(|file| {
        let file = file.ok()?;
        // Some are closed by now.
        let target = fs::read_link(file.path()).ok()?;
        let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        if inodes.contains(inode) { file.file_name().to_str()?.parse().ok() } else { None }
    });
    Ok(sockets.collect())
}
