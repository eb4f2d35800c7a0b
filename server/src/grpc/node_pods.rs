//! `WatchNodePods`: the pods of a node, told to whoever enforces policies there.

use std::sync::Arc;
use std::time::Duration;

use gavel_engine::Snapshot;
use gavel_engine::network::NodePod;
use gavel_engine::object::Kind;
use gavel_proto::v1 as pb;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::listeners::{LOOK, Sender, listen, may_listen};
use super::peer::Standing;
use crate::publisher::{Published, Publisher};

/// How long further revisions are awaited once one has come, so that a burst of them is looked through once. Whoever holds
/// packets back waits so long at most.
const BURST: Duration = Duration::from_millis(5);

/// The stream of one listener. It ends when the server stops, and when the listener may not listen any more.
pub(super) fn watch(
    publisher: Arc<Publisher>,
    node: String,
    standing: Option<Standing>,
    stop: CancellationToken,
) -> ReceiverStream<Result<pb::NodePods, Status>> {
    listen(stop, |sender| tell(publisher, node, standing, sender))
}

/// Tells the pods whenever they have changed, until nobody listens.
///
/// Most revisions are of pods elsewhere. With thousands of listeners, looking at a node's pods for each of them would be
/// much: whether anything can have changed here is seen from the kinds that changed, and the version of the node.
///
/// # Errors
/// Why the listener may not listen any more.
async fn tell(
    publisher: Arc<Publisher>,
    node: String,
    standing: Option<Standing>,
    sender: Sender<pb::NodePods>,
) -> Result<(), Status> {
    let (mut current, mut revisions) = publisher.revisions();
    let mut told = None;
    let mut version = None;
    // Whether policies may hold other pods than before.
    let mut isolation_changed = true;
    loop {
        if let Some(published) = current.take() {
            let snapshot = &published.snapshot;
            let now = snapshot.network().node_version(&node);
            if isolation_changed || node.is_empty() || version.as_ref() != Some(&now) {
                (version, isolation_changed) = (Some(now), false);
                let pods = pods_on(snapshot, &node);
                if told.as_ref() != Some(&pods) {
                    let revision = snapshot.revision();
                    let instance = publisher.instance().to_owned();
                    let message = pb::NodePods { revision, instance, pods: pods.clone() };
                    told = Some(pods);
                    if sender.send(Ok(message)).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
        let received = timeout(LOOK, revisions.recv()).await;
        may_listen(standing.as_ref(), &publisher)?;
        match received {
            Err(_) => continue,
            Ok(Err(RecvError::Closed)) => return Ok(()),
            Ok(Err(RecvError::Lagged(_))) => isolation_changed = true,
            Ok(Ok(published)) => isolation_changed |= may_isolate(&published),
        }
        sleep(BURST).await;
        // Only the newest matters, but for what the others changed.
        loop {
            match revisions.try_recv() {
                Ok(published) => isolation_changed |= may_isolate(&published),
                Err(TryRecvError::Lagged(_)) => isolation_changed = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        current = publisher.published();
    }
}

/// Whether a revision may have policies hold other pods, or no longer, although these are as they were.
fn may_isolate(published: &Published) -> bool {
    published.changed.iter().any(|kind| matches!(kind, Kind::Namespace | Kind::NetworkPolicy))
}

fn pods_on(snapshot: &Snapshot, node: &str) -> Vec<pb::NodePod> {
    let network = snapshot.network();
    let mut pods: Vec<_> = if node.is_empty() {
        network.pods_anywhere().map(to_message).collect()
    } else {
        network.pods_on(node).map(to_message).collect()
    };
    pods.sort_unstable_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    pods
}

fn to_message(pod: NodePod<'_>) -> pb::NodePod {
    let NodePod { namespace, name, uid, addresses, ingress_isolated, egress_isolated } = pod;
    pb::NodePod {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: uid.map_or_else(String::new, |uid| uid.to_string()),
        ips: addresses.iter().map(ToString::to_string).collect(),
        ingress_isolated,
        egress_isolated,
    }
}
