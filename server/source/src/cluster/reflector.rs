//! Follows one kind: finds it, lists it, watches it, and begins again where it has to.
//!
//! ```text
//! find ──► list ──► watch ─┬─ ended: watch on from there
//!  ▲         ▲             ├─ failed, or silent for too long: told, then watch on from there
//!  │         │             ├─ 410 Gone: list
//!  └─────────┴─────────────┴─ 404: find
//! ```
//!
//! A watch is asked to end after some seconds. Two seconds before, the API server sends a bookmark if anything was
//! written that the watch did not show (`nextBookmarkTime` and `process` in
//! `k8s.io/apiserver/pkg/storage/cacher/cache_watcher.go`). A watch that has ended as asked has thus shown all up to
//! then; one that has not ended some seconds later, without a word, has stalled.

use std::time::Duration;

use gavel_engine::object::Kind;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::api::{Api, ApiError, Lines, Status};
use super::event::{Breakage, Event, Update};
use super::kinds::{Resource, resources};
use super::known::Known;
use super::message::{Bookmark, Line, Page};

/// Objects a page.
const PAGE: usize = 500;
/// How long a streaming list may take.
const STREAMING_LIST_SECONDS: u32 = 600;
/// Kubernetes has streaming lists since 1.27; before, the parameter meant nothing.
const STREAMING_LIST_SINCE: u32 = 27;
/// How long to wait before trying again: at first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

pub(super) struct Reflector {
    kind: Kind,
    api: Api,
    known: Known,
    events: mpsc::Sender<Event>,
    watch_seconds: u32,
    /// Whether to try a streaming list; no longer, once the API server has refused one.
    streams_lists: bool,
    /// Whether the kind has been listed whole. The first list is told in parts: nobody decides by it before it is
    /// whole, and a hundred thousand pods need not wait in memory all at once. A later one takes effect at once.
    has_listed: bool,
    retry: Duration,
}

/// Nobody listens any more.
struct Deaf;

/// Where to go on.
enum Next {
    Find,
    List(&'static Resource),
    Watch(&'static Resource, u64),
}

impl Reflector {
    pub(super) fn new(
        kind: Kind,
        api: Api,
        known: Known,
        events: mpsc::Sender<Event>,
        watch_seconds: u32,
        streams_lists: bool,
    ) -> Self {
        Self { kind, api, known, events, watch_seconds, streams_lists, has_listed: false, retry: RETRY.0 }
    }

    /// Runs until nobody listens any more.
    pub(super) async fn run(mut self) {
        let mut next = Next::Find;
        loop {
            let step = match next {
                Next::Find => self.find().await,
                Next::List(resource) => self.list(resource).await,
                Next::Watch(resource, since) => self.watch(resource, since).await,
            };
            match step {
                Ok(then) => next = then,
                Err(Deaf) => return,
            }
        }
    }

    async fn find(&mut self) -> Result<Next, Deaf> {
        let candidates = resources(self.kind);
        // Those of Kubernetes itself are there; only where there is a choice somebody has to be asked.
        if let [only] = candidates {
            return Ok(Next::List(only));
        }
        for resource in candidates {
            match self.api.has(resource).await {
                Ok(true) => {
                    tracing::info!(kind = %self.kind, %resource, "found");
                    return Ok(Next::List(resource));
                }
                Ok(false) => {}
                Err(error) => return self.failed(&error, Next::Find).await,
            }
        }
        self.absent().await
    }

    /// The API server says that it does not have the kind, so there are no objects of it.
    async fn absent(&mut self) -> Result<Next, Deaf> {
        let mut update = Update { absent: true, ..Update::default() };
        self.known.clear(&mut update);
        self.tell(update).await?;
        sleep(Duration::from_secs(u64::from(self.watch_seconds).clamp(1, 5))).await;
        Ok(Next::Find)
    }

    async fn list(&mut self, resource: &'static Resource) -> Result<Next, Deaf> {
        let mut update = Update::default();
        let listed = match self.lists_by_streaming().await {
            Ok(true) => self.streaming_list(resource, &mut update).await?,
            Ok(false) => self.paged_list(resource, &mut update).await?,
            Err(error) => Err(error),
        };
        match listed {
            Ok(()) => {
                self.has_listed = true;
                let since = update.resource_version;
                tracing::info!(kind = %self.kind, since, objects = self.known.len(), "listed");
                self.tell(update).await?;
                Ok(Next::Watch(resource, since))
            }
            Err(error) => {
                // What came of it is known by now, and so has to be told; only that it is whole is not true.
                self.tell_part(&mut update).await?;
                match error {
                    // Switched off in this API server, or in something between: by pages, then.
                    ApiError::Refused { code: 400 | 422, message } if self.streams_lists => {
                        tracing::debug!(kind = %self.kind, message, "no streaming list");
                        self.streams_lists = false;
                        Ok(Next::List(resource))
                    }
                    ApiError::Absent(_) => self.is_it_absent(resource).await,
                    error => self.failed(&error, Next::List(resource)).await,
                }
            }
        }
    }

    /// After a 404: one that discovery does not confirm is a failure, so that an API server that is just starting does
    /// not empty the snapshot.
    async fn is_it_absent(&mut self, resource: &'static Resource) -> Result<Next, Deaf> {
        match self.api.has(resource).await {
            Ok(false) => match resources(self.kind) {
                [_] => self.absent().await,
                _ => self.find().await,
            },
            Ok(true) => self.failed(&ApiError::Absent(resource.to_string()), Next::List(resource)).await,
            Err(error) => self.failed(&error, Next::List(resource)).await,
        }
    }

    async fn lists_by_streaming(&self) -> Result<bool, ApiError> {
        Ok(self.streams_lists && self.api.minor_version().await? >= STREAMING_LIST_SINCE)
    }

    /// Lists by a watch that begins with all there is (KEP-3157): kinder to the API server's memory.
    async fn streaming_list(
        &mut self,
        resource: &Resource,
        update: &mut Update,
    ) -> Result<Result<(), ApiError>, Deaf> {
        let path = format!(
            "{}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=\
             &allowWatchBookmarks=true&timeoutSeconds={STREAMING_LIST_SECONDS}",
            resource.path()
        );
        let mut lines = match self.api.watch(&path).await {
            Ok(lines) => lines,
            Err(error) => return Ok(Err(error)),
        };
        self.known.begin_list();
        loop {
            let line = match lines.next().await {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(Err(ApiError::Connection("the list ended early".to_owned()))),
                Err(error) => return Ok(Err(error)),
            };
            match self.take(&line, update) {
                Ok(true) => break,
                Ok(false) if update.changes.len() < PAGE || self.has_listed => {}
                Ok(false) => self.tell_part(update).await?,
                Err(error) => return Ok(Err(error)),
            }
        }
        self.known.end_list(update);
        Ok(Ok(()))
    }

    async fn paged_list(
        &mut self,
        resource: &Resource,
        update: &mut Update,
    ) -> Result<Result<(), ApiError>, Deaf> {
        let mut token = String::new();
        self.known.begin_list();
        loop {
            match self.page(resource, &token, update).await {
                Ok(next) if next.is_empty() => break,
                Ok(next) => token = next,
                Err(error) => return Ok(Err(error)),
            }
            if !self.has_listed {
                self.tell_part(update).await?;
            }
        }
        self.known.end_list(update);
        Ok(Ok(()))
    }

    /// Takes one page; where the next one begins, or nothing after the last.
    async fn page(
        &mut self,
        resource: &Resource,
        token: &str,
        update: &mut Update,
    ) -> Result<String, ApiError> {
        let mut path = format!("{}?limit={PAGE}", resource.path());
        if !token.is_empty() {
            path.push_str("&continue=");
            path.push_str(token);
        }
        let body = self.api.page(&path).await?;
        let page: Page<'_> = serde_json::from_slice(&body)
            .map_err(|error| ApiError::Unreadable(format!("{path}: {error}")))?;
        for item in page.items.unwrap_or_default() {
            self.known.upsert(item.get().as_bytes(), update).map_err(unreadable)?;
        }
        update.resource_version = version(&page.metadata.resource_version)?;
        Ok(page.metadata.token)
    }

    async fn watch(&mut self, resource: &'static Resource, mut since: u64) -> Result<Next, Deaf> {
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&resourceVersion={since}&timeoutSeconds={}",
            resource.path(),
            self.watch_seconds
        );
        let ended = match self.api.watch(&path).await {
            Ok(mut lines) => self.take_all(&mut lines, &mut since).await?,
            Err(error) => Err(error),
        };
        match ended {
            Ok(()) => {
                self.retry = RETRY.0;
                self.events.send(Event::Ended(self.kind)).await.map_err(|_| Deaf)?;
                Ok(Next::Watch(resource, since))
            }
            Err(ApiError::Absent(_)) => self.is_it_absent(resource).await,
            Err(error) if error.needs_a_list() => self.failed(&error, Next::List(resource)).await,
            Err(error) => self.failed(&error, Next::Watch(resource, since)).await,
        }
    }

    /// Takes lines until the watch ends or fails; `since` is moved along.
    async fn take_all(&mut self, lines: &mut Lines, since: &mut u64) -> Result<Result<(), ApiError>, Deaf> {
        loop {
            let line = match lines.next().await {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            };
            let mut update = Update::default();
            if let Err(error) = self.take(&line, &mut update) {
                return Ok(Err(error));
            }
            *since = update.resource_version.max(*since);
            self.tell(update).await?;
        }
    }

    /// Takes one line; true when it ends a streaming list.
    fn take(&mut self, line: &[u8], update: &mut Update) -> Result<bool, ApiError> {
        let Line { type_, object } = serde_json::from_slice(line).map_err(unreadable)?;
        let object = object.get().as_bytes();
        match type_ {
            "ADDED" | "MODIFIED" => self.known.upsert(object, update).map_err(unreadable)?,
            "DELETED" => self.known.remove(object, update).map_err(unreadable)?,
            "BOOKMARK" => {
                let Bookmark { metadata } = serde_json::from_slice(object).map_err(unreadable)?;
                update.resource_version = metadata.metadata.version().max(update.resource_version);
                return Ok(metadata.ends_the_list());
            }
            "ERROR" => {
                let status: Status = serde_json::from_slice(object).map_err(unreadable)?;
                return Err(status.into_error("the watch"));
            }
            other => return Err(ApiError::Unreadable(format!("event type {other:?}"))),
        }
        if let Some(written) = update.written.last() {
            update.resource_version = update.resource_version.max(*written);
        }
        Ok(false)
    }

    /// Tells the part of a list that was read so far.
    async fn tell_part(&self, update: &mut Update) -> Result<(), Deaf> {
        let part = std::mem::take(update);
        if part.changes.is_empty() && part.set_aside.is_none() {
            return Ok(());
        }
        // Only at the end of a list all is there up to its version.
        let part = Update { resource_version: 0, ..part };
        self.events.send(Event::Heard(self.kind, part)).await.map_err(|_| Deaf)
    }

    async fn tell(&mut self, update: Update) -> Result<(), Deaf> {
        self.retry = RETRY.0;
        self.events.send(Event::Heard(self.kind, update)).await.map_err(|_| Deaf)
    }

    /// Tells that something went wrong, waits a while, and goes on with `next`.
    async fn failed(&mut self, error: &ApiError, next: Next) -> Result<Next, Deaf> {
        let reason = match error {
            ApiError::Silent(_) => Breakage::Stalled,
            ApiError::Expired(_) => Breakage::Expired,
            ApiError::Absent(_)
            | ApiError::Refused { .. }
            | ApiError::Connection(_)
            | ApiError::Unreadable(_) => Breakage::Failed,
        };
        let broken = Event::Broken { kind: self.kind, reason, detail: error.to_string() };
        self.events.send(broken).await.map_err(|_| Deaf)?;
        // Expired is no failure of anybody: at once. The rest waits, longer each time, and not all at the same time.
        if reason != Breakage::Expired {
            sleep(self.retry.mul_f64(0.75 + 0.5 * jitter(self.kind))).await;
            self.retry = (self.retry * 2).min(RETRY.1);
        }
        Ok(next)
    }
}

/// 0 to 1; differs from kind to kind and from time to time.
fn jitter(kind: Kind) -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    let random = RandomState::new().hash_one(kind);
    f64::from(u32::try_from(random & 0xFFFF).unwrap_or_default()) / f64::from(0xFFFF_u32)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn unreadable(error: serde_json::Error) -> ApiError {
    ApiError::Unreadable(error.to_string())
}

fn version(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| ApiError::Unreadable(format!("resourceVersion {text:?}")))
}
