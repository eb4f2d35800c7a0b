//! Streams to those who listen: what they have in common.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::peer::Standing;
use crate::publisher::Publisher;

/// Messages that may wait for a slow reader.
const WAITING: usize = 16;
/// How often it is looked whether a listener may still listen, when nothing happens.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// Where messages for one listener go.
pub(super) type Sender<M> = mpsc::Sender<Result<M, Status>>;

/// The stream of one listener, to whom `tell` tells. It ends when the server stops, when the listener has gone, and when
/// `tell` ends; with its error, if it fails.
pub(super) fn listen<M, T, F>(stop: CancellationToken, tell: T) -> ReceiverStream<Result<M, Status>>
where
    M: Send + 'static,
    T: FnOnce(Sender<M>) -> F,
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    let telling = tell(sender.clone());
    tokio::spawn(async move {
        tokio::select! {
            told = telling => {
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

/// # Errors
/// Why the listener may not listen any more.
pub(super) fn may_listen(standing: Option<&Standing>, publisher: &Publisher) -> Result<(), Status> {
    match standing {
        None => Ok(()),
        Some(standing) => standing.check(publisher.published().as_ref().map(|published| &published.snapshot)),
    }
}
