//! A certificate that somebody else keeps in files.
//!
//! The contents are compared every few seconds: a Secret is mounted as links that are switched, which reports of the
//! file system tell nothing of. Certificate and key are two files, and may be seen when one of them is new already:
//! the two do not go together then, the old ones stay, and the next look finds both.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::pair::{Pair, Validity};
use super::served::Served;
use crate::metrics::Metrics;

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
    let (certificate, key) = (certificate.to_owned(), key.to_owned());
    let pair = read(&certificate, &key).await?;
    let validity = served.serve(&pair).with_context(|| both(&certificate, &key))?;
    tell(validity);
    Ok(async move {
        let mut last = Ok(pair);
        loop {
            tokio::time::sleep(interval).await;
            // An error is compared by its words: it is told once, and not every few seconds.
            let now = read(&certificate, &key).await.map_err(|error| format!("{error:#}"));
            if now == last {
                continue;
            }
            let taken = match &now {
                Ok(pair) => {
                    served.serve(pair).map_err(|error| format!("{}: {error:#}", both(&certificate, &key)))
                }
                Err(error) => Err(error.clone()),
            };
            metrics.reloaded(taken.is_ok());
            match taken {
                Ok(validity) => tell(validity),
                Err(error) => tracing::error!(error, "the new certificate cannot be used, the old one stays"),
            }
            last = now;
        }
    })
}

fn both(certificate: &Path, key: &Path) -> String {
    format!("--tls-cert {} and --tls-key {}", certificate.display(), key.display())
}

fn tell(validity: Validity) {
    tracing::info!(expires = %super::issue::date(validity.to), "serving a new certificate");
}

async fn read(certificate: &PathBuf, key: &PathBuf) -> anyhow::Result<Pair> {
    let read = async |flag: &str, path: &PathBuf| {
        tokio::fs::read(path).await.with_context(|| format!("{flag} {}", path.display()))
    };
    Ok(Pair {
        authorities: Vec::new(),
        certificate: read("--tls-cert", certificate).await?,
        key: read("--tls-key", key).await?,
    })
}
