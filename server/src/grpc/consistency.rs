//! Requests that want a snapshot of a certain freshness: read, waited for, and told when it does not come.

use std::fmt::Write as _;
use std::time::Duration;

use gavel_engine::object::Kind;
use gavel_proto::v1 as pb;
use tokio::time::{Instant, timeout_at};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::deadline;
use crate::decide::invalid;
use crate::freshness::{Wanted, WantedVersion};
use crate::publisher::Publisher;

/// Taken off a call's deadline, so that the answer arrives before the caller gives up: a tenth, within these.
const MARGIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));
/// How often age alone is looked at.
const TICK: Duration = Duration::from_millis(50);

/// What a request asks for.
///
/// # Errors
/// INVALID_ARGUMENT with the field that is to blame.
pub(super) fn read(consistency: &pb::Consistency, publisher: &Publisher) -> Result<Wanted, Status> {
    let pb::Consistency { resource_version, kind, revision, max_staleness } = consistency;
    let kind = match kind.as_str() {
        "" => None,
        name => Some(Kind::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| {
            invalid(
                "consistency.kind",
                format!("{name:?} is no kind that decisions look at, such as RoleBinding"),
            )
        })?),
    };
    let version = match resource_version.as_str() {
        "" if kind.is_some() => {
            return Err(invalid("consistency.kind", "goes with a resourceVersion"));
        }
        "" => None,
        _ if !publisher.follows_cluster() => {
            return Err(invalid(
                "consistency.resourceVersion",
                "this server reads manifests, which have none; `revision` can be asked for",
            ));
        }
        text => Some(WantedVersion {
            resource_version: text.parse().map_err(|_| {
                invalid("consistency.resourceVersion", format!("{text:?} is not one: they are whole numbers"))
            })?,
            kind,
        }),
    };
    let max_staleness = match max_staleness {
        None => None,
        Some(pbjson_types::Duration { seconds, nanos }) => {
            let seconds = u64::try_from(*seconds).ok();
            let read = seconds.zip(u32::try_from(*nanos).ok()).filter(|(_, nanos)| *nanos < 1_000_000_000);
            let (seconds, nanos) =
                read.ok_or_else(|| invalid("consistency.maxStaleness", "must not be negative"))?;
            Some(Duration::new(seconds, nanos))
        }
    };
    Ok(Wanted { version, revision: (*revision > 0).then_some(*revision), max_staleness })
}

/// Waits until the snapshot is as fresh as wanted, for `most` or until shortly before the call's own deadline.
///
/// # Errors
/// DEADLINE_EXCEEDED, with what is missing.
pub(super) async fn wait(
    publisher: &Publisher,
    wanted: &Wanted,
    metadata: &MetadataMap,
    most: Duration,
) -> Result<(), Status> {
    if publisher.satisfies(wanted) {
        return Ok(());
    }
    let deadline = metadata.get("grpc-timeout").and_then(|value| deadline::read(value.to_str().ok()?));
    let time = match deadline {
        Some(deadline) => deadline.saturating_sub((deadline / 10).clamp(MARGIN.0, MARGIN.1)).min(most),
        None => most,
    };
    let until = Instant::now() + time;
    let mut progress = publisher.progress();
    loop {
        progress.mark_unchanged();
        if publisher.satisfies(wanted) {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(Status::new(Code::DeadlineExceeded, missing(publisher, wanted, time)));
        }
        // The sender lives as long as the publisher. Whether it moved, or time passed: look again.
        let _ = timeout_at(until.min(Instant::now() + TICK), progress.changed()).await;
    }
}

/// What somebody waited for in vain.
fn missing(publisher: &Publisher, wanted: &Wanted, waited: Duration) -> String {
    let mut text = format!("no snapshot that is fresh enough within {waited:?}:");
    // Writing into a String cannot fail.
    match publisher.published() {
        None => text.push_str(" there is no snapshot yet;"),
        Some(published) => {
            let revision = published.snapshot.revision();
            let _ = write!(text, " it is at revision {revision}");
            if let Some(least) = wanted.revision {
                let _ = write!(text, " (wanted: {least})");
            }
            text.push(';');
        }
    }
    if let Some(WantedVersion { resource_version, kind }) = wanted.version {
        let _ = write!(text, " wanted: what was written under resourceVersion {resource_version}");
        let held = publisher.versions().by_kind();
        match kind {
            Some(kind) => {
                let _ = write!(text, " of {kind}, held: {}", held.get(&kind).copied().unwrap_or_default());
            }
            None => {
                let held: Vec<String> = held.iter().map(|(kind, until)| format!("{kind} {until}")).collect();
                let _ = write!(text, ", held: {}", held.join(", "));
            }
        }
        text.push(';');
    }
    if let Some(most) = wanted.max_staleness {
        let staleness = publisher.staleness().unwrap_or_default();
        let _ =
            write!(text, " it was last known to be current {staleness:.1?} ago (wanted: at most {most:?});");
    }
    text.pop();
    text
}
