//! The certificate that HTTPS is served with: where it comes from, and how it stays good.
//!
//! Either somebody else keeps it in files (cert-manager, by way of a Secret), and they are followed as they change; or
//! it is issued here, kept in a Secret that all replicas share, and the API server is told to trust it. Either way the
//! last good one is served until there is a better one.
//!
//! An authority issued here signs one certificate, and its key is forgotten: nobody can issue another with it. A renewal
//! is a new authority, and the API server trusts old and new before the new certificate is served.

mod cluster;
mod configurations;
mod files;
mod folder;
mod issue;
mod pair;
mod secret;
mod self_issued;
mod served;

pub(crate) use files::follow as follow_files;
pub(crate) use self_issued::self_issued;
pub(crate) use served::Served;

use crate::config::{Issue, IssueCertificate};
use issue::Order;

/// What is wrong with settings to issue by, as far as that can be told without asking anybody.
pub(crate) async fn check(issue: &Issue) -> Vec<anyhow::Error> {
    // That there are no names is told of the settings themselves.
    let names = if issue.dns_name.is_empty() { None } else { Order::new(issue).err() };
    names.into_iter().chain(cluster::check(issue).await.err()).collect()
}

/// `gavel-webhook issue-certificate`: issues what is missing, has it trusted, and tells what was done.
///
/// # Errors
/// What could not be read, issued, kept or changed.
pub async fn command(arguments: &IssueCertificate) -> anyhow::Result<String> {
    let IssueCertificate { secret, out, issue } = arguments;
    let order = Order::new(issue)?;
    let needs_cluster = secret.is_some() || !issue.webhook_configuration.is_empty();
    let client = if needs_cluster { Some(cluster::client(issue).await?) } else { None };
    let (place, kept) = match (secret, out, &client) {
        (Some(secret), _, Some(client)) => {
            (format!("Secret {secret}"), secret::ensure(client, secret, &order).await?)
        }
        (_, Some(folder), _) => (folder.display().to_string(), folder::ensure(folder, &order)?),
        _ => anyhow::bail!("--secret NAMESPACE/NAME or --out DIR must be given"),
    };
    let mut told = match &kept.issued {
        Some(why) => format!("{place}: issued a certificate for {} ({why})", order.names.join(", ")),
        None => format!("{place}: the certificate there is good, and stays"),
    };
    if let Some(client) = &client {
        for name in &issue.webhook_configuration {
            let changed = configurations::trust(client, name, &kept.pair.authorities).await?;
            told.push_str(&format!("\n{name}: caBundle of {changed} webhooks set"));
        }
    }
    Ok(told)
}
