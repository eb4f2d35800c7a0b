//! Hot reload: reads the manifests again whenever they change.
//!
//! Folders are watched, never files: editors and ConfigMap mounts put new files in the place of old ones, and a watch
//! on a file stays with the old one. Where watching does not work (network file systems, exhausted limits), comparing
//! times and sizes every now and then does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep, timeout_at};

use super::files;
use super::folders::Folders;
use super::{ReadOptions, read_found};
use crate::{Event, Source};

/// How to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchOptions {
    /// How to read.
    pub read: ReadOptions,
    /// Read once nothing has changed for this long: whoever writes files is to be done.
    pub quiet: Duration,
    /// Read at the latest this long after a change, whether it is quiet or not.
    pub at_most: Duration,
    /// How often to look whether anything changed without being told.
    pub poll: Duration,
    /// Whether to be told by the system, besides.
    pub notify: bool,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            read: ReadOptions::default(),
            quiet: Duration::from_millis(200),
            at_most: Duration::from_secs(2),
            poll: Duration::from_secs(10),
            notify: true,
        }
    }
}

/// Reads `paths`, tells what came of it, and does so again whenever they change.
///
/// Each reading is one event: the first tells of everything, relative to `source`. Ends when `stop` becomes true or
/// loses its sender, or when nobody receives `events` any more; by then, nothing of it is left running.
///
/// # Errors
/// When reading panicked, which is a bug, or the runtime is shutting down.
pub async fn watch(
    paths: Vec<PathBuf>,
    options: WatchOptions,
    source: Source,
    events: mpsc::Sender<Event>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), JoinError> {
    let changed = Arc::new(Notify::new());
    let folders = Folders::new(options.notify.then(|| Arc::clone(&changed)));
    let mut round = Round { paths, options: options.read, source, folders, fingerprint: 0 };
    loop {
        // Reading is not cut short: whoever waits for this task knows that no file is being read.
        let (next, event) = spawn_blocking(move || round.read()).await?;
        round = next;
        tokio::select! {
            () = told(&mut stop) => return Ok(()),
            sent = events.send(event) => if sent.is_err() { return Ok(()) },
        }
        loop {
            let is_told = tokio::select! {
                () = told(&mut stop) => return Ok(()),
                () = events.closed() => return Ok(()),
                () = changed.notified() => true,
                () = sleep(options.poll) => false,
            };
            if is_told {
                settle(&changed, &options).await;
                break;
            }
            let (next, has_changed) = spawn_blocking(move || round.has_changed()).await?;
            round = next;
            if has_changed {
                break;
            }
        }
    }
}

/// Waits until `stop` becomes true, or nobody can say so any more.
async fn told(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone.
    let _ = stop.wait_for(|is_over| *is_over).await;
}

/// Waits until it is quiet.
async fn settle(changed: &Notify, options: &WatchOptions) {
    let latest = Instant::now() + options.at_most;
    loop {
        let quiet = Instant::now() + options.quiet;
        if timeout_at(quiet.min(latest), changed.notified()).await.is_err() {
            return;
        }
    }
}

/// What a round of reading needs; handed to a thread that may block, and back.
struct Round {
    paths: Vec<PathBuf>,
    options: ReadOptions,
    source: Source,
    folders: Folders,
    fingerprint: u64,
}

impl Round {
    fn read(mut self) -> (Self, Event) {
        let mut found = files::find(&self.paths);
        // A file may come into a new folder after it was looked into and before it is watched: look again.
        while self.folders.watch(&self.paths, &found) {
            found = files::find(&self.paths);
        }
        // Taken before reading: what is written meanwhile counts as a change.
        self.fingerprint = found.fingerprint();
        let event = self.source.take(read_found(found, self.options));
        (self, event)
    }

    fn has_changed(self) -> (Self, bool) {
        let has_changed = files::find(&self.paths).fingerprint() != self.fingerprint;
        (self, has_changed)
    }
}
