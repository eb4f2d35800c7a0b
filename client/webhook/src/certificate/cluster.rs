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
    // Fails only when a default is there already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let options = KubeConfigOptions { context: issue.context.clone(), ..KubeConfigOptions::default() };
    let config = match &issue.kubeconfig {
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
    };
    Client::try_from(config).context("the API server's client")
}

/// Whether somebody else came before: the object has changed since it was read, or is there by now.
pub(super) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_conflict() || status.is_already_exists())
}
