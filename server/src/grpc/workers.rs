//! Which threads serve connections: those of the runtime that everything runs on, or one a core with a runtime of its
//! own.
//!
//! On a runtime of many threads a task that is woken goes before all others of its thread (tokio's "LIFO slot"), so that
//! each answer tends to be written to its socket alone. On a runtime of one thread all tasks that are ready take their
//! turn, the connection's after those of its requests: answers that are ready together are written together, and no
//! task moves between cores. The price: a connection stays with its thread, however busy that is.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Threads that serve connections. Cheap to clone; threads of their own end with the last clone.
#[derive(Clone, Debug)]
pub(crate) enum Workers {
    /// Those of the runtime that accepts.
    Shared,
    /// One a core.
    PerCore(Arc<Cores>),
}

/// Threads that have a runtime each.
#[derive(Debug)]
pub(crate) struct Cores {
    cores: Vec<Core>,
    _running: DropGuard,
}

#[derive(Debug)]
struct Core {
    runtime: Handle,
    /// How many connections it serves.
    open: Arc<AtomicUsize>,
}

/// A connection of a core.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that can be moved from one runtime to another, which is to tell when there is something to read.
pub(super) trait Socket: Sized + Send + 'static {
    /// The same, of no runtime.
    type Std: Send + 'static;

    fn into_std(self) -> io::Result<Self::Std>;
    fn from_std(socket: Self::Std) -> io::Result<Self>;
}

impl Socket for TcpStream {
    type Std = std::net::TcpStream;

    fn into_std(self) -> io::Result<Self::Std> {
        self.into_std()
    }

    fn from_std(socket: Self::Std) -> io::Result<Self> {
        Self::from_std(socket)
    }
}

impl Socket for UnixStream {
    type Std = std::os::unix::net::UnixStream;

    fn into_std(self) -> io::Result<Self::Std> {
        self.into_std()
    }

    fn from_std(socket: Self::Std) -> io::Result<Self> {
        Self::from_std(socket)
    }
}

impl Workers {
    /// So many threads of their own, each with a runtime.
    ///
    /// # Errors
    /// When the system has no more threads or file descriptors.
    pub(crate) fn per_core(cores: usize) -> io::Result<Self> {
        let running = CancellationToken::new();
        // Dropped on the way out of a failure, it ends the threads that were begun.
        let guard = running.clone().drop_guard();
        let cores = (0..cores.max(1)).map(|number| Core::start(number, running.clone()));
        Ok(Self::PerCore(Arc::new(Cores { cores: cores.collect::<io::Result<_>>()?, _running: guard })))
    }

    /// Has a connection served, by the thread that has the fewest of them.
    pub(super) fn serve<S: Socket, F>(
        &self,
        tasks: &TaskTracker,
        socket: S,
        serve: impl FnOnce(S) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self::PerCore(cores) = self else {
            tasks.spawn(serve(socket));
            return;
        };
        let Some(core) = cores.cores.iter().min_by_key(|core| core.open.load(Ordering::Relaxed)) else {
            return;
        };
        core.open.fetch_add(1, Ordering::Relaxed);
        let open = Open(core.open.clone());
        let socket = socket.into_std();
        let served = async move {
            let _open = open;
            match socket.and_then(S::from_std) {
                Ok(socket) => serve(socket).await,
                Err(error) => tracing::warn!(%error, "a connection could not be given to its thread"),
            }
        };
        tasks.spawn_on(served, &core.runtime);
    }
}

impl Core {
    fn start(number: usize, running: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let core = Self { runtime: runtime.handle().clone(), open: Arc::default() };
        std::thread::Builder::new()
            .name(format!("gavel-core-{number}"))
            .spawn(move || runtime.block_on(running.cancelled()))?;
        Ok(core)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::thread::ThreadId;

    use tokio::io::AsyncReadExt as _;
    use tokio::sync::mpsc;

    use super::*;

    /// Connections are served by which threads; they are open until the other ends are dropped.
    async fn serve(workers: &Workers, tasks: &TaskTracker, count: usize) -> (Vec<UnixStream>, Vec<ThreadId>) {
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut ends = Vec::new();
        for number in 0..count {
            let (mine, its) = UnixStream::pair().unwrap();
            ends.push(mine);
            let tell = tell.clone();
            workers.serve(tasks, its, move |mut its| async move {
                tell.send((number, std::thread::current().id())).unwrap();
                assert_eq!(its.read(&mut [0]).await.unwrap(), 0);
            });
        }
        drop(tell);
        let mut threads = Vec::new();
        for _ in 0..count {
            threads.push(told.recv().await.unwrap());
        }
        threads.sort_unstable_by_key(|(number, _)| *number);
        (ends, threads.into_iter().map(|(_, thread)| thread).collect())
    }

    fn counts(threads: &[ThreadId]) -> Vec<usize> {
        let mut counts = HashMap::new();
        for thread in threads {
            *counts.entry(*thread).or_insert(0) += 1;
        }
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable();
        counts
    }

    #[tokio::test]
    async fn threads_have_as_many_connections_each() {
        let (workers, tasks) = (Workers::per_core(3).unwrap(), TaskTracker::new());
        let (mut ends, threads) = serve(&workers, &tasks, 9).await;
        assert_eq!(counts(&threads), [3, 3, 3]);
        assert!(!threads.contains(&std::thread::current().id()));
        // One thread is left with none: the next three are its own.
        let busy = threads[0];
        let mut index = 0;
        ends.retain(|_| {
            index += 1;
            threads[index - 1] != busy
        });
        let Workers::PerCore(cores) = &workers else { panic!() };
        let open = || cores.cores.iter().map(|core| core.open.load(Ordering::Relaxed)).sum::<usize>();
        while open() > 6 {
            tokio::task::yield_now().await;
        }
        let (more, threads) = serve(&workers, &tasks, 3).await;
        assert_eq!(threads, [busy; 3]);
        drop((ends, more));
        tasks.close();
        tasks.wait().await;
        assert_eq!(open(), 0);
    }

    #[tokio::test]
    async fn threads_end_with_the_last_clone() {
        let (workers, tasks) = (Workers::per_core(2).unwrap(), TaskTracker::new());
        let Workers::PerCore(cores) = &workers else { panic!() };
        let (tell, mut told) = mpsc::unbounded_channel::<()>();
        for core in &cores.cores {
            let tell = tell.clone();
            // Ends when its runtime does.
            core.runtime.spawn(async move {
                let _tell = tell;
                std::future::pending::<()>().await;
            });
        }
        drop(tell);
        let clone = workers.clone();
        drop(workers);
        let (_ends, threads) = serve(&clone, &tasks, 2).await;
        assert_eq!(counts(&threads), [1, 1]);
        drop(clone);
        assert_eq!(told.recv().await, None);
    }

    #[tokio::test]
    async fn shared_threads_are_the_runtimes_own() {
        let (_ends, threads) = serve(&Workers::Shared, &TaskTracker::new(), 3).await;
        assert_eq!(threads, [std::thread::current().id(); 3]);
    }
}
