//! `WatchSnapshot`: each revision, told to whoever listens.

use std::sync::Arc;

use gavel_proto::v1 as pb;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::snapshot::to_timestamp;
use crate::publisher::{Published, Publisher};

/// Messages that may wait for a slow reader, besides those that the publisher keeps.
const WAITING: usize = 16;

/// The stream of one listener. It ends when the server stops.
pub(super) fn watch(
    publisher: Arc<Publisher>,
    stop: CancellationToken,
) -> ReceiverStream<Result<pb::SnapshotRevision, Status>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        tokio::select! {
            () = tell(&publisher, &sender) => {}
            () = stop.cancelled() => {
                let _ = sender.send(Err(Status::unavailable("the server is stopping"))).await;
            }
            // The listener has gone, and nothing may ever be published that would show it.
            () = sender.closed() => {}
        }
    });
    ReceiverStream::new(receiver)
}

async fn tell(publisher: &Publisher, sender: &mpsc::Sender<Result<pb::SnapshotRevision, Status>>) {
    let (current, mut revisions) = publisher.revisions();
    let mut last = 0;
    let mut missed = false;
    if let Some(published) = current {
        last = published.snapshot.revision();
        let first =
            pb::SnapshotRevision { changed_kinds: Vec::new(), ..message(publisher, &published, false) };
        if sender.send(Ok(first)).await.is_err() {
            return;
        }
    }
    loop {
        match revisions.recv().await {
            Ok(published) if published.snapshot.revision() <= last => {}
            Ok(published) => {
                last = published.snapshot.revision();
                if sender.send(Ok(message(publisher, &published, missed))).await.is_err() {
                    return;
                }
                missed = false;
            }
            Err(RecvError::Lagged(_)) => missed = true,
            Err(RecvError::Closed) => return,
        }
    }
}

fn message(publisher: &Publisher, published: &Published, missed: bool) -> pb::SnapshotRevision {
    let Published { snapshot, created_at, created: _, changed, versions } = published;
    pb::SnapshotRevision {
        revision: snapshot.revision(),
        instance: publisher.instance().to_owned(),
        created_at: Some(to_timestamp(*created_at)),
        changed_kinds: changed.iter().map(ToString::to_string).collect(),
        resource_versions: versions
            .iter()
            .map(|(kind, until)| (kind.to_string(), until.to_string()))
            .collect(),
        missed,
    }
}
