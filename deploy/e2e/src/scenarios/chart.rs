//! The Helm chart: rendered with every set of values it is tried with, linted, refused where values are wrong, admitted by
//! Gavel's own restricted policy, and applied to a real API server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::kit::{
    CHART, ControlPlane, Folder, Scenario, apply, helm, in_repository, objects, program, try_helm,
};

const NAMESPACE: &str = "gavel-system";
const SERVER: &str = "system:serviceaccount:gavel-system:gavel-server";
const WEBHOOK: &str = "system:serviceaccount:gavel-system:gavel-webhook";
pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let rendered = render_all(&scenario.folder).await?;
    refused(&scenario.folder).await?;
    for (name, manifests) in &rendered {
        own_pods_are_admitted(name, manifests).await?;
    }
    let crd = std::fs::read(in_repository(CHART).join("crds/podsecuritypolicies.policy.gavel.dev.yaml"))?;
    let shipped = std::fs::read(in_repository("deploy/crds/podsecuritypolicies.policy.gavel.dev.yaml"))?;
    ensure!(crd == shipped, "the chart's CRD is not that of deploy/crds");
    let plane = scenario.own_plane().await?;
    plane.kubectl.run(&["create", "namespace", NAMESPACE]).await?;
    // The chart as it comes goes last: what may be done is asked of that.
    let (default, others): (Vec<_>, Vec<_>) =
        rendered.iter().partition(|(name, _)| name.starts_with("default"));
    for (name, manifests) in others.into_iter().chain(default) {
        println!("chart: {name}: {}", apply(&plane, &scenario.folder, name, manifests).await?);
    }
    access(&plane).await
}

/// The files with values that the chart is tried with.
fn values() -> anyhow::Result<Vec<PathBuf>> {
    let folder = in_repository(CHART).join("ci");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.sort();
    ensure!(files.len() >= 4, "{files:?}");
    Ok(files)
}

async fn render_all(folder: &Folder) -> anyhow::Result<BTreeMap<String, String>> {
    let mut rendered = BTreeMap::new();
    for file in values()? {
        let name = file.file_stem().context("no name")?.to_string_lossy().into_owned();
        let file = file.to_string_lossy();
        helm(folder, &["lint", "--strict", CHART, "-f", &file]).await?;
        let out = helm(folder, &["template", "gavel", CHART, "--namespace", NAMESPACE, "-f", &*file]).await?;
        ensure!(out.contains("kind: Deployment"), "helm template with {name}: {out}");
        let is_insecure = |line: &str| line.trim() == "insecure: true" || line.contains("--insecure");
        ensure!(!out.lines().any(is_insecure), "{name} is insecure");
        rendered.insert(name, out);
    }
    Ok(rendered)
}

/// Values that are wrong are refused, and told.
async fn refused(folder: &Folder) -> anyhow::Result<()> {
    for (set, told) in [
        ("server.replica=3", "replica"),
        ("server.replicas=many", "replicas"),
        ("certificates.mode=none", "mode"),
        ("telemetry.decisionLog.mode=some", "mode"),
        ("webhook.onUnavailable=perhaps", "onUnavailable"),
        ("authentication.tokens=keys", "authentication.issuer"),
        // What the chart says itself is not to be said otherwise.
        ("server.settings.insecure=true", "insecure"),
        ("webhook.settings.token-without-tls=true", "token-without-tls"),
        ("webhook.enabled=false,admission.enabled=true", "webhook.enabled"),
        ("certificates.mode=existing", "certificates.existing"),
        ("callers[0].name=people,callers[0].calls[0]=Everything", "calls"),
    ] {
        let answer = try_helm(folder, &["template", "gavel", CHART, "--set", set]).await?;
        ensure!(!answer.success && answer.stderr.contains(told), "--set {set}: {answer:?}");
    }
    Ok(())
}

/// Every pod that the chart makes passes the policy that Gavel ships for everybody.
async fn own_pods_are_admitted(name: &str, manifests: &str) -> anyhow::Result<()> {
    use tokio::io::AsyncWriteExt as _;
    let examples = in_repository("deploy/kubernetes/examples");
    let mut gavel = Command::new(program("gavel")?)
        .args(["admit", "--manifests", &examples.to_string_lossy(), "-f", "-", "--output", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut pipe = gavel.stdin.take().context("gavel has no standard input")?;
    pipe.write_all(manifests.as_bytes()).await?;
    drop(pipe);
    let output = gavel.wait_with_output().await?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{name}: {out}{err}");
    let reviews: Vec<serde_json::Value> =
        out.lines().map(serde_json::from_str).collect::<Result<_, _>>().with_context(|| out.to_string())?;
    ensure!(!reviews.is_empty(), "{name} has no pods: {err}");
    for review in reviews {
        let response = &review["response"];
        let policy = &response["auditAnnotations"]["podsecuritypolicy.policy.k8s.io/validate-policy"];
        ensure!(response["allowed"] == true && policy == "restricted", "{name}: {response}");
    }
    Ok(())
}

/// What the service accounts may do, and what they may not.
async fn access(plane: &ControlPlane) -> anyhow::Result<()> {
    for (user, verb, resource, expected) in [
        (SERVER, "watch", "pods", true),
        (SERVER, "watch", "podsecuritypolicies.policy.gavel.dev", true),
        (SERVER, "create", "tokenreviews.authentication.k8s.io", true),
        (SERVER, "list", "secrets", false),
        (SERVER, "create", "pods", false),
        (WEBHOOK, "create", "admitrequests.gavel.dev", true),
        (WEBHOOK, "create", "flowchecks.gavel.dev", false),
        (WEBHOOK, "get", "snapshots.gavel.dev", false),
        (WEBHOOK, "list", "pods", false),
        (WEBHOOK, "list", "secrets", false),
    ] {
        let may = objects::may(plane, user, verb, resource).await?;
        ensure!(may == expected, "{user} {verb} {resource}: {may}");
    }
    Ok(())
}
