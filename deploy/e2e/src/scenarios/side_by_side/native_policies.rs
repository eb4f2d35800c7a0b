//! Gavel following the Kubernetes 1.24 itself, with its own PodSecurityPolicies: the same answers as from Gavel's
//! resource, on an API server that has no streaming lists.

use anyhow::ensure;
use gavel_proto::v1;
use serde_json::json;

use super::Side;
use super::controls::NAMESPACE;
use super::controls_table::all;
use crate::kit::{GavelServer, Scenario, admission, objects};

/// Called last: both API servers have the cases' policies and grants.
pub(super) async fn play(scenario: &Scenario, native: &Side, gavel: &Side) -> anyhow::Result<()> {
    let Some((of_today, _)) = &gavel.gavel else { anyhow::bail!("there is no server to compare with") };
    let kubeconfig = native.plane.kubeconfig(native.plane.address)?;
    let of_then = GavelServer::start(&scenario.folder, &kubeconfig, &[]).await?;
    let source = of_then.source("cluster/PodSecurityPolicy").await?;
    ensure!(source.state() == v1::SourceState::Synced, "{source:?}");
    let policies = |snapshot: &v1::GetSnapshotResponse| snapshot.objects.get("PodSecurityPolicy").copied();
    let (then, today) = (policies(&of_then.snapshot().await?), policies(&of_today.snapshot().await?));
    ensure!(
        then == today && then > Some(40),
        "{then:?} policies in Kubernetes 1.24, {today:?} in Gavel's resource"
    );

    let mut admitted = 0;
    for case in all() {
        let mut pod = objects::pod(NAMESPACE, case.name, case.spec.clone());
        pod["spec"]["serviceAccountName"] = json!(case.name);
        pod["metadata"]["annotations"] = case.annotations.clone();
        let question = v1::AdmitRequest { phase: v1::Phase::MutateAndValidate.into(), ..admission(&pod) };
        let (then, today) = (of_then.admit(question.clone()).await?, of_today.admit(question).await?);
        let essence = |answer: &v1::AdmitResponse| {
            (answer.allowed, answer.policy.clone(), answer.message.clone(), answer.patch.clone())
        };
        ensure!(essence(&then) == essence(&today), "{}: {then:?}\nor {today:?}", case.name);
        admitted += usize::from(then.allowed);
    }
    ensure!(admitted > 10, "only {admitted} admitted");
    Ok(())
}
