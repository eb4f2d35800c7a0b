//! From a kubeconfig, or from inside a cluster, to a client.

use std::path::Path;
use std::time::Duration;

use http::HeaderValue;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// What the API server is told of who asks.
const USER_AGENT: &str = concat!("gavel-server/", env!("CARGO_PKG_VERSION"));
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// Neither a kubeconfig nor the files of a pod are there.
    #[error("there is no kubeconfig, and this is no pod of a cluster: {0}")]
    Infer(#[from] kube::config::InferConfigError),
    /// What the configuration says does not make a client.
    #[error("no client can be made of the configuration: {0}")]
    Client(#[from] kube::Error),
}

/// The client of a cluster: of `kubeconfig`; else of `$KUBECONFIG` or `~/.kube/config`; else, in a pod, of its service
/// account.
///
/// # Errors
/// When there is no usable configuration. Nothing is asked of the API server yet.
pub async fn client(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Client, ConnectError> {
    let mut config = configuration(kubeconfig, context).await?;
    config.connect_timeout = Some(CONNECT);
    // Watches are silent for a while; each reading has its own limit.
    config.read_timeout = None;
    // What fails is told at once, and tried again by whoever knows what for.
    config.default_retry = false;
    // So that audit logs and flow control tell whose requests these are.
    config.headers.push((http::header::USER_AGENT, HeaderValue::from_static(USER_AGENT)));
    Ok(Client::try_from(config)?)
}

/// Whether there would be a [`client`]: the kubeconfig, its context, and the files that these name. Nobody is asked: a
/// program of the user's that gets credentials, which may ask anybody, is not run.
///
/// # Errors
/// When there is no usable configuration.
pub async fn check(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<(), ConnectError> {
    let config = configuration(kubeconfig, context).await?;
    if config.auth_info.exec.is_none() && config.auth_info.auth_provider.is_none() {
        Client::try_from(config)?;
    }
    Ok(())
}

async fn configuration(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Config, ConnectError> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    Ok(match (kubeconfig, context) {
        (Some(path), _) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?,
        (None, Some(_)) => Config::from_kubeconfig(&options).await?,
        (None, None) => Config::infer().await?,
    })
}
