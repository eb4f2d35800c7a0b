//! `WatchNodePods`: the pods of a node, told to whoever enforces policies there.

use std::sync::Arc;
use std::time::Duration;

use gavel_engine::Snapshot;
use gavel_engine::network::NodePod;
use gavel_proto::v1 as pb;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::listeners::{LOOK, Sender, listen, may_listen};
use super::peer::Standing;
use crate::publisher::Publisher;

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
/// # Errors
/// Why the listener may not listen any more.
async fn tell(
    publisher: Arc<Publisher>,
    node: String,
    standing: Option<Standing>,
    sender: Sender<pb::NodePods>,
) -> Result<(), Status> {
    let (mut current, mut revisions) = publisher.revisions();
    let mut last = None;
    loop {
        if let Some(published) = current.take() {
            let snapshot = &published.snapshot;
            let pods = pods_on(snapshot, &node);
            if last.as_ref() != Some(&pods) {
                let revision = snapshot.revision();
                let instance = publisher.instance().to_owned();
                let message = pb::NodePods { revision, instance, pods: pods.clone() };
                last = Some(pods);
                if sender.send(Ok(message)).await.is_err() {
                    return Ok(());
                }
            }
        }
        let received = timeout(LOOK, revisions.recv()).await;
        may_listen(standing.as_ref(), &publisher)?;
        match received {
            Err(_) => continue,
            Ok(Err(RecvError::Closed)) => return Ok(()),
            // Only the newest matters.
            Ok(Ok(_) | Err(RecvError::Lagged(_))) => {}
        }
        sleep(BURST).await;
        while !matches!(revisions.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
        current = publisher.published();
    }
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
