//! A certificate that somebody else keeps in files.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use gavel_tls::{Event, ServerFiles, ServerTls};

use super::served::Served;
use crate::metrics::Metrics;

const FLAGS: &str = "--tls-cert and --tls-key";

/// Serves what the files hold, and follows them as they change.
///
/// # Errors
/// When they cannot be used to begin with.
pub(crate) async fn follow(
    certificate: &Path,
    key: &Path,
    interval: Duration,
    served: Arc<Served>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<impl Future<Output = ()> + Send + use<>> {
    let files = ServerFiles { cert: certificate.to_owned(), key: key.to_owned(), ..ServerFiles::default() };
    let failures = metrics.clone();
    let events = move |event: Event| {
        event.log(FLAGS);
        if let Event::Failed(_) = event {
            failures.reloaded(false);
        }
    };
    // Only the certificate is taken: the listener's configuration serves certificates that are issued here as well.
    let mut followed = gavel_tls::serve(files, &[], interval, events).await.context(FLAGS)?;
    serve(&served, &followed.current());
    Ok(async move {
        loop {
            let tls = followed.changed().await;
            serve(&served, &tls);
            metrics.reloaded(true);
        }
    })
}

fn serve(served: &Served, tls: &ServerTls) {
    let since_1970 = tls.not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let expires = i64::try_from(since_1970).unwrap_or(i64::MAX);
    served.serve(tls.key.clone(), expires);
    tracing::info!(expires = %super::issue::date(expires), "serving a new certificate");
}
