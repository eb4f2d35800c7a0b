//! A cluster: its API server's watches.
//!
//! One task follows each kind; what they see comes out of one channel, in order for each kind. Of an object only what
//! decisions look at is kept on the way. One object that cannot be read is set aside and told of; it never stops the
//! rest.
//!
//! | file | job |
//! |---|---|
//! | `kinds` | which kinds, and where an API server has them |
//! | `reflector` | one kind: find, list, watch, and again |
//! | `api` | requests to the API server |
//! | `message` | pages of lists, and lines of watches |
//! | `known` | what is known of a kind, and what a list or an event changes of it |
//! | `item`, `trim` | one object, read; a pod, as it is stored |
//! | `event` | what comes out |
//! | `store` | what is kept on disk |

mod api;
mod connect;
mod event;
mod item;
mod kinds;
mod known;
mod message;
mod reflector;
pub mod store;
mod trim;

use std::collections::HashMap;
use std::time::Duration;

use gavel_engine::Object;
use gavel_engine::object::Kind;
use kube::Client;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use connect::{ConnectError, check, client};
pub use event::{Breakage, ENDED_SHOWS, Event, Instead, SetAside, Stored, Update};
pub use kinds::WATCHED;

/// How much longer than a watch lasts it may be silent before it counts as stalled.
const GRACE: Duration = Duration::from_secs(5);
/// Updates that may wait to be taken.
const WAITING: usize = 1024;

/// How to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchOptions {
    /// How long a watch lasts before it is renewed, in seconds; idle watches are heard from that often. At least 5.
    pub watch_seconds: u32,
    /// Whether streaming lists are used where the API server has them.
    pub streams_lists: bool,
    /// Whether updates carry what is to be stored.
    pub stores: bool,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self { watch_seconds: 10, streams_lists: true, stores: false }
    }
}

/// Watches every kind, until the receiver is dropped or the tasks are.
///
/// `restored` are the objects that are in the snapshot already: the first lists are compared with them.
pub fn watch(
    client: &Client,
    restored: Vec<Object>,
    options: WatchOptions,
) -> (mpsc::Receiver<Event>, JoinSet<()>) {
    let (events, receiver) = mpsc::channel(WAITING);
    let mut tasks = JoinSet::new();
    let mut by_kind: HashMap<Kind, Vec<Object>> = HashMap::new();
    for object in restored {
        by_kind.entry(object.kind()).or_default().push(object);
    }
    let silence = Duration::from_secs(u64::from(options.watch_seconds)) + GRACE;
    for kind in WATCHED {
        let known = known::Known::new(kind, by_kind.remove(&kind).unwrap_or_default(), options.stores);
        let api = api::Api::new(client.clone(), silence);
        let reflector = reflector::Reflector::new(
            kind,
            api,
            known,
            events.clone(),
            options.watch_seconds,
            options.streams_lists,
        );
        tasks.spawn(reflector.run());
    }
    (receiver, tasks)
}
