//! Issuing while serving: one certificate for all replicas, trusted before it is served.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;

use super::issue::{Kept, Order, date};
use super::pair::Pair;
use super::served::Served;
use super::{cluster, configurations, secret};
use crate::config::{Issue, SecretName};
use crate::metrics::Metrics;

/// How often Secret and configurations are looked at. Not by the hour, which renewal alone would allow: a configuration
/// that was deleted and applied anew trusts nobody, and no pod is admitted until it does.
const INTERVAL: Duration = Duration::from_secs(60);
/// How soon after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// Serves the Secret's certificate, issues it where it is missing, and keeps it trusted.
///
/// # Errors
/// When the settings cannot be used. That the API server does not answer is no error: it is tried again.
pub(crate) async fn self_issued(
    secret: SecretName,
    issue: Issue,
    served: Arc<Served>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<impl Future<Output = ()> + Send> {
    let order = Order::new(&issue)?;
    let client = cluster::client(&issue).await?;
    Ok(async move {
        let mut serving = Pair::default();
        // Told once, and not at every try.
        let mut last_error = String::new();
        loop {
            let wait = match renew(&client, &secret, &order, &issue, &served, &metrics, &mut serving).await {
                Ok(()) => {
                    last_error.clear();
                    INTERVAL
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    if error != last_error {
                        metrics.reloaded(false);
                        tracing::error!(error, "the certificate could not be looked after; trying again");
                    }
                    last_error = error;
                    RETRY
                }
            };
            tokio::time::sleep(wait).await;
        }
    })
}

/// One look: the certificate in the Secret is good, the API server trusts it, and then it is served.
async fn renew(
    client: &Client,
    name: &SecretName,
    order: &Order,
    issue: &Issue,
    served: &Served,
    metrics: &Metrics,
    serving: &mut Pair,
) -> anyhow::Result<()> {
    let Kept { pair, issued } = secret::ensure(client, name, order).await?;
    if let Some(why) = issued {
        tracing::info!(secret = %name, why, "issued a certificate");
    }
    for configuration in &issue.webhook_configuration {
        let changed = configurations::trust(client, configuration, &pair.authorities).await?;
        if changed > 0 {
            tracing::info!(configuration, webhooks = changed, "caBundle set");
        }
    }
    if pair != *serving {
        let (key, validity) = pair.certified_key()?;
        served.serve(Arc::new(key), validity.to);
        metrics.reloaded(true);
        tracing::info!(secret = %name, expires = %date(validity.to), "serving a new certificate");
        *serving = pair;
    }
    Ok(())
}
