//! The objects that a server holds, counted against those that the API server has.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use gavel_proto::v1::SourceState;

use crate::kit::{ControlPlane, GavelServer, wait};

/// How long a server may take to catch up: a second on an idle machine.
const SOON: Duration = Duration::from_secs(60);

/// Every kind that a server watches, and where an API server with Gavel's CRD has it.
pub(crate) const KINDS: [(&str, &str); 9] = [
    ("Namespace", "/api/v1/namespaces"),
    ("Pod", "/api/v1/pods"),
    ("ServiceAccount", "/api/v1/serviceaccounts"),
    ("NetworkPolicy", "/apis/networking.k8s.io/v1/networkpolicies"),
    ("PodSecurityPolicy", "/apis/policy.gavel.dev/v1/podsecuritypolicies"),
    ("Role", "/apis/rbac.authorization.k8s.io/v1/roles"),
    ("ClusterRole", "/apis/rbac.authorization.k8s.io/v1/clusterroles"),
    ("RoleBinding", "/apis/rbac.authorization.k8s.io/v1/rolebindings"),
    ("ClusterRoleBinding", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"),
];

/// Waits until every source of the server is in this state.
pub(crate) async fn until_all(server: &GavelServer, state: SourceState) -> anyhow::Result<()> {
    let what = format!("every source is {}", state.as_str_name());
    let states = async || {
        let sources = server.snapshot().await?.sources;
        anyhow::Ok(sources.into_iter().map(|source| (source.state(), source.name)).collect::<Vec<_>>())
    };
    wait::until_is(&what, SOON, states, |states| {
        states.len() == KINDS.len() && states.iter().all(|(is, _)| *is == state)
    })
    .await?;
    Ok(())
}

/// Waits until the server holds as many objects of every kind as the API server has.
pub(crate) async fn until_agreed(plane: &ControlPlane, server: &GavelServer) -> anyhow::Result<()> {
    let both = async || anyhow::Ok((held(server).await?, there(plane).await?));
    wait::until_is("the server holds what the API server has", SOON, both, |(held, there)| held == there)
        .await?;
    Ok(())
}

async fn held(server: &GavelServer) -> anyhow::Result<BTreeMap<String, u64>> {
    let objects = server.snapshot().await?.objects;
    let count = |kind: &str| objects.get(kind).copied().unwrap_or_default();
    Ok(KINDS.iter().map(|(kind, _)| ((*kind).to_owned(), count(kind))).collect())
}

async fn there(plane: &ControlPlane) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for (kind, path) in KINDS {
        let list = plane.rest.get(path).await?;
        let count = list["items"].as_array().map_or(0, Vec::len);
        counts.insert(kind.to_owned(), u64::try_from(count)?);
    }
    Ok(counts)
}

/// How many watches broke for this reason, of any kind.
pub(crate) async fn breakages(server: &GavelServer, reason: &str) -> anyhow::Result<f64> {
    let label = format!(r#"reason="{reason}""#);
    let all = server.metric("gavel_watch_breakages_total").await?;
    let counts: Vec<f64> =
        all.iter().filter(|(name, _)| name.contains(&label)).map(|(_, count)| *count).collect();
    ensure!(counts.len() == KINDS.len(), "not a counter a kind of {label}: {all:?}");
    Ok(counts.iter().sum())
}
