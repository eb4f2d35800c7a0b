//! Follows the manifest source: what it tells is published, and told of in the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gavel_source::manifests::ReadOptions;
use gavel_source::manifests::watch::{WatchOptions, watch};
use gavel_source::{Event, ManifestError, Source};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::publisher::Publisher;
use crate::status::{Finding, SourceState};

/// Name of the source.
pub(crate) const SOURCE: &str = "manifests";

/// Reads the manifests, publishes them, and does so again whenever they change, until told to stop.
///
/// # Errors
/// When the first reading fails: there is nothing to answer from.
pub(crate) async fn follow(
    config: Config,
    publisher: Arc<Publisher>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let options = WatchOptions {
        read: ReadOptions { accept_refused: config.accept_refused },
        poll: Duration::from_secs(config.poll_seconds.max(1)),
        ..Default::default()
    };
    let (events, mut told) = mpsc::channel(1);
    let (stopping, stopped) = tokio::sync::watch::channel(false);
    let watching = tokio::spawn(watch(config.manifests, options, Source::new(), events, stopped));
    let result = loop {
        let event = tokio::select! {
            () = stop.cancelled() => break Ok(()),
            event = told.recv() => event,
        };
        let Some(event) = event else { break Err(anyhow::anyhow!("the manifests are no longer followed")) };
        if let Err(error) = take(&publisher, event).await {
            break Err(error);
        }
    };
    stopping.send_replace(true);
    drop(told);
    watching.await??;
    result
}

async fn take(publisher: &Arc<Publisher>, event: Event) -> anyhow::Result<()> {
    match event {
        Event::Changed { changes, warnings } => {
            for warning in &warnings {
                tracing::warn!("{warning}");
            }
            let count = changes.len();
            let findings = warnings.into_iter().map(|warning| finding(false, warning)).collect();
            // Before it is published: whoever sees the snapshot sees the source that it came from.
            publisher.freshness().clear();
            publisher.synced(SOURCE, findings);
            // Folding thousands of objects takes a while; the other tasks of this thread are not to wait for it.
            let writer = publisher.clone();
            let revision = tokio::task::spawn_blocking(move || writer.publish(changes, &[])).await?;
            tracing::info!(revision, changes = count, "snapshot published");
        }
        Event::Unchanged => {
            publisher.freshness().clear();
            let findings = publisher.sources().into_iter().flat_map(|source| source.findings);
            publisher.synced(SOURCE, findings.filter(|finding| !finding.is_error).collect());
        }
        Event::Failed { errors } => {
            let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
            if publisher.current().is_none() {
                anyhow::bail!("the manifests cannot be used:\n{}", told.join("\n"));
            }
            for error in &told {
                tracing::error!("{error}");
            }
            tracing::error!("the manifests cannot be used; answering from the last good state");
            let detail = match told.as_slice() {
                [one] => one.clone(),
                [first, others @ ..] => format!("{first} (and {} more)", others.len()),
                [] => String::new(),
            };
            if publisher.staleness().is_none() {
                publisher.freshness().set(Instant::now());
            }
            publisher.set_source(SOURCE, |source| {
                source.state = SourceState::Failing;
                source.detail = detail;
                source.findings = errors.into_iter().map(|error| finding(true, error)).collect();
            });
        }
    }
    Ok(())
}

fn finding(is_error: bool, error: ManifestError) -> Finding {
    let ManifestError { place, object, field, message } = error;
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Finding {
        is_error,
        object: object.unwrap_or_default(),
        file: place.file.to_string(),
        document: number(place.document),
        line: number(place.line),
        field,
        message,
    }
}
