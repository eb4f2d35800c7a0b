//! `WatchSnapshot`: each revision, told to whoever listens.

use std::sync::Arc;
use std::time::Duration;

use gavel_proto::v1 as pb;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::peer::Standing;
use super::snapshot::to_timestamp;
use crate::publisher::{Published, Publisher};

/// Messages that may wait for a slow reader, besides those that the publisher keeps.
const WAITING: usize = 16;
/// How often it is looked whether a listener may still listen, when nothing happens.
const LOOK: Duration = Duration::from_secs(5);

/// The stream of one listener. It ends when the server stops, and when the listener may not listen any more.
pub(super) fn watch(
    publisher: Arc<Publisher>,
    standing: Option<Standing>,
    stop: CancellationToken,
) -> ReceiverStream<Result<pb::SnapshotRevision, Status>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        tokio::select! {
            told = tell(&publisher, standing.as_ref(), &sender) => {
                if let Err(status) = told {
                    let _ = sender.send(Err(status)).await;
                }
            }
            () = stop.cancelled() => {
                let _ = sender.send(Err(Status::unavailable("the server is stopping"))).await;
            }
            // The listener has gone, and nothing may ever be published that would show it.
            () = sender.closed() => {}
        }
    });
    ReceiverStream::new(receiver)
}

/// Tells each revision until nobody listens.
///
/// # Errors
/// Why the listener may not listen any more.
async fn tell(
    publisher: &Publisher,
    standing: Option<&Standing>,
    sender: &mpsc::Sender<Result<pb::SnapshotRevision, Status>>,
) -> Result<(), Status> {
    let may_listen = || match standing {
        None => Ok(()),
        Some(standing) => standing.check(publisher.published().as_ref().map(|published| &published.snapshot)),
    };
    let (current, mut revisions) = publisher.revisions();
    let mut last = 0;
    let mut missed = false;
    if let Some(published) = current {
        last = published.snapshot.revision();
        let first =
            pb::SnapshotRevision { changed_kinds: Vec::new(), ..message(publisher, &published, false) };
        if sender.send(Ok(first)).await.is_err() {
            return Ok(());
        }
    }
    loop {
        let received = timeout(LOOK, revisions.recv()).await;
        may_listen()?;
        match received {
            Err(_) => {}
            Ok(Ok(published)) if published.snapshot.revision() <= last => {}
            Ok(Ok(published)) => {
                last = published.snapshot.revision();
                if sender.send(Ok(message(publisher, &published, missed))).await.is_err() {
                    return Ok(());
                }
                missed = false;
            }
            Ok(Err(RecvError::Lagged(_))) => missed = true,
            Ok(Err(RecvError::Closed)) => return Ok(()),
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

#[cfg(test)]
mod tests {
    use gavel_engine::{Change, Object};
    use tokio_stream::StreamExt as _;

    use super::*;

    fn publish(publisher: &Publisher, times: u64) {
        for _ in 0..times {
            publisher.publish(vec![Change::Upsert(Object::Namespace(Default::default()))], &[]);
        }
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_that_it_missed_some() {
        let publisher = Arc::new(Publisher::new(["manifests".to_owned()]));
        publish(&publisher, 1);
        let mut stream = watch(publisher.clone(), None, CancellationToken::new());
        let first = stream.next().await.unwrap().unwrap();
        assert_eq!((first.revision, first.missed, first.changed_kinds.len()), (1, false, 0));
        publish(&publisher, 1);
        let second = stream.next().await.unwrap().unwrap();
        assert_eq!((second.revision, second.missed), (2, false));
        assert_eq!(second.changed_kinds, ["Namespace"]);
        // More than are kept for it.
        publish(&publisher, 5000);
        let (mut last, mut missed) = (2, 0);
        while last < 5002 {
            let next = stream.next().await.unwrap().unwrap();
            assert_eq!(next.missed, next.revision != last + 1, "{last} and then {next:?}");
            missed += u32::from(next.missed);
            last = next.revision;
        }
        assert!(missed > 0);
    }

    #[tokio::test]
    async fn whoever_comes_before_the_first_snapshot_waits_for_it() {
        let publisher = Arc::new(Publisher::new(["manifests".to_owned()]));
        let stop = CancellationToken::new();
        let mut stream = watch(publisher.clone(), None, stop.clone());
        tokio::task::yield_now().await;
        publish(&publisher, 1);
        assert_eq!(stream.next().await.unwrap().unwrap().revision, 1);
        stop.cancel();
        assert_eq!(stream.next().await.unwrap().unwrap_err().code(), tonic::Code::Unavailable);
        assert!(stream.next().await.is_none());
    }
}
