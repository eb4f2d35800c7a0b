//! Keeps on disk what was published, behind the back of whoever publishes: a slow disk delays no answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use gavel_engine::ObjectKey;
use gavel_source::cluster::Stored;
use gavel_source::cluster::store::Store;
use tokio::sync::mpsc;

use crate::metrics::Metrics;
use crate::publisher::Publisher;

/// How often it is noted that the API server was heard from, though nothing changed.
const NOTE: Duration = Duration::from_secs(5);
/// Batches that may wait for the disk before the publisher waits, too.
const WAITING: usize = 256;

/// Where to put what is to be kept.
pub(crate) type Kept = mpsc::Sender<Vec<Stored>>;

/// A keeper, and where to put things. It ends once nobody can put anything any more.
pub(crate) fn keeper(
    store: Arc<Store>,
    publisher: Arc<Publisher>,
    metrics: Arc<Metrics>,
) -> (Kept, impl Future<Output = anyhow::Result<()>>) {
    let (kept, mut batches) = mpsc::channel::<Vec<Stored>>(WAITING);
    let keep = async move {
        let mut noted: Option<Instant> = None;
        // What is not on disk yet. The latest of each object, so that a disk that fails for long costs no more memory
        // than the objects are worth.
        let mut waiting: HashMap<ObjectKey, Stored> = HashMap::new();
        let by_key = |stored: Stored| (stored.key.clone(), stored);
        while let Some(batch) = batches.recv().await {
            waiting.extend(batch.into_iter().map(by_key));
            while let Ok(more) = batches.try_recv() {
                waiting.extend(more.into_iter().map(by_key));
            }
            let is_due = noted.is_none_or(|noted| noted.elapsed() >= NOTE);
            if waiting.is_empty() && !is_due {
                continue;
            }
            let heard = is_due.then(|| {
                noted = Some(Instant::now());
                SystemTime::now().checked_sub(publisher.staleness().unwrap_or_default())
            });
            let store = store.clone();
            let batch: Vec<Stored> = waiting.drain().map(|(_, stored)| stored).collect();
            let written = tokio::task::spawn_blocking(move || {
                store.write(&batch, heard.flatten()).map_err(|error| (error, batch))
            });
            if let Err((error, batch)) = written.await? {
                metrics.store_failed();
                tracing::error!(%error, "what was published could not be kept on disk; tried again with what comes next");
                waiting.extend(batch.into_iter().map(by_key));
            }
        }
        Ok(())
    };
    (kept, keep)
}
