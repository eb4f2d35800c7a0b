//! `WatchSnapshot`: each revision, told to whoever listens.

use std::sync::Arc;

use gavel_proto::v1 as pb;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::listeners::{LOOK, Sender, listen, may_listen};
use super::peer::Standing;
use super::snapshot::to_timestamp;
use crate::publisher::{Published, Publisher};

/// The stream of one listener. It ends when the server stops, and when the listener may not listen any more.
pub(super) fn watch(
    publisher: Arc<Publisher>,
    standing: Option<Standing>,
    stop: CancellationToken,
) -> ReceiverStream<Result<pb::SnapshotRevision, Status>> {
    listen(stop, |sender| tell(publisher, standing, sender))
}

/// Tells each revision until nobody listens.
///
/// # Errors
/// Why the listener may not listen any more.
async fn tell(
    publisher: Arc<Publisher>,
    standing: Option<Standing>,
    sender: Sender<pb::SnapshotRevision>,
) -> Result<(), Status> {
    let (current, mut revisions) = publisher.revisions();
    let mut last = 0;
    let mut missed = false;
    if let Some(published) = current {
        last = published.snapshot.revision();
        let first =
            pb::SnapshotRevision { changed_kinds: Vec::new(), ..message(&publisher, &published, false) };
        if sender.send(Ok(first)).await.is_err() {
            return Ok(());
        }
    }
    loop {
        let received = timeout(LOOK, revisions.recv()).await;
        may_listen(standing.as_ref(), &publisher)?;
        match received {
            Err(_) => {}
            Ok(Ok(published)) if published.snapshot.revision() <= last => {}
            Ok(Ok(published)) => {
                last = published.snapshot.revision();
                if sender.send(Ok(message(&publisher, &published, missed))).await.is_err() {
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
