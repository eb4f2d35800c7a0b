//! The API server, as it is reached to keep Secrets and configurations.

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::config::Issue;

/// Who changed a field, as the API server remembers it.
pub(super) const MANAGER: &str = "gavel-webhook";
/// How often a change that somebody else came before is tried.
pub(super) const TRIES: usize = 5;

/// A client by kubeconfig, or by the pod's service account.
pub(super) async fn client(issue: &Issue) -> anyhow::Result<Client> {
    let config = configuration(issue).await?;
    Client::try_from(config).context("the API server's client")
}

/// Whether there would be a client. Nobody is asked: a program of the user's that gets credentials, which may ask
/// anybody, is not run.
pub(super) async fn check(issue: &Issue) -> anyhow::Result<()> {
    let config = configuration(issue).await?;
    if config.auth_info.exec.is_none() && config.auth_info.auth_provider.is_none() {
        Client::try_from(config).context("the API server's client")?;
    }
    Ok(())
}

async fn configuration(issue: &Issue) -> anyhow::Result<Config> {
    // Fails only when a default is there already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let options = KubeConfigOptions { context: issue.context.clone(), ..KubeConfigOptions::default() };
    Ok(match &issue.kubeconfig {
        Some(path) => {
            let kubeconfig =
                Kubeconfig::read_from(path).with_context(|| format!("--kubeconfig {}", path.display()))?;
            Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .with_context(|| format!("--kubeconfig {}", path.display()))?
        }
        None if issue.context.is_some() => {
            Config::from_kubeconfig(&options).await.context("--context of the kubeconfig")?
        }
        None => {
            Config::infer().await.context("no API server to ask: say --kubeconfig FILE, or run in a pod")?
        }
    })
}

/// Whether somebody else came before: the object has changed since it was read, or is there by now.
pub(super) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_conflict() || status.is_already_exists())
}
