//! The tutorial's manifests, its questions, and the answers it gives.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use gavel_client::v1 as pb;
use gavel_source::manifests::documents;

use super::story::{Expected, Story};
use crate::admit::{Options, created, question};
use crate::check_flow::{read_end, read_port};

const POLICIES: &str = include_str!("../../demo/pod-security/policies.yaml");
const NONROOT: &str = include_str!("../../demo/pod-security/nonroot-deploy.yaml");
const ROOT: &str = include_str!("../../demo/pod-security/root-deploy.yaml");
const PODS: &str = include_str!("../../demo/network/pods.yaml");
const MORE_PODS: &str = include_str!("../../demo/network/more-pods.yaml");
const ACCEPT_SECURESHELL: &str = include_str!("../../demo/network/accept-secureshell.yaml");
const MORE_POLICIES: &str = include_str!("../../demo/network/more-policies.yaml");

/// What the server starts with.
pub(super) fn write_first(folder: &Path) -> anyhow::Result<()> {
    let files = [
        ("policies.yaml", POLICIES),
        ("nonroot-deploy.yaml", NONROOT),
        ("root-deploy.yaml", ROOT),
        ("pods.yaml", PODS),
        ("more-pods.yaml", MORE_PODS),
    ];
    for (name, text) in files {
        fs::write(folder.join(name), text).with_context(|| name.to_owned())?;
    }
    Ok(())
}

/// Asks everything that the tutorial asks.
pub(super) async fn tell(story: &mut Story, address: &str) -> anyhow::Result<()> {
    anstream::println!("A server on {address}, asked over gRPC.");
    pod_security(story).await?;
    accept_secureshell(story).await?;
    further_policies(story).await?;
    original_binding(story).await
}

async fn pod_security(story: &mut Story) -> anyhow::Result<()> {
    use pb::Phase::{Mutate, MutateAndValidate, Validate};
    let mut table = story.chapter("PodSecurityPolicy nonroot-psp: nobody runs as root");
    let nonroot = |question, reason| Expected { question, allowed: true, policy: "nonroot-psp", reason };
    let expected = nonroot("nonroot-deploy (runAsUser: 1001)", "admitted as it is");
    story.admit(&mut table, admission(NONROOT, MutateAndValidate)?, &expected).await?;
    let expected = Expected {
        question: "root-deploy, validate phase",
        allowed: false,
        policy: "nonroot-psp",
        reason: "spec.containers[0].securityContext.runAsNonRoot: Required value: must be true",
    };
    story.admit(&mut table, admission(ROOT, Validate)?, &expected).await?;
    // The mutate phase would let it in: with a mark at which the node then refuses an image that runs as root.
    let expected = nonroot(
        "root-deploy, if the mutate phase is on",
        "spec.containers[0].securityContext.runAsNonRoot: true",
    );
    story.admit(&mut table, admission(ROOT, Mutate)?, &expected).await?;
    Ok(())
}

async fn accept_secureshell(story: &mut Story) -> anyhow::Result<()> {
    let mut table =
        story.chapter("NetworkPolicy accept-secureshell: only secureshell reaches the API server");
    let free = "no policy isolates the destination for ingress";
    let ask = [("shell -> apiserver:8080, no policy yet", "shell", true, "", free)];
    flows(story, &mut table, "apiserver", "8080", &ask).await?;
    story.change(|folder| fs::write(folder.join("accept-secureshell.yaml"), ACCEPT_SECURESHELL)).await?;
    let ask = [
        ("shell -> apiserver:8080", "shell", false, "accept-secureshell", "no rule allows this"),
        ("secureshell -> apiserver:8080", "secureshell", true, "accept-secureshell", "spec.ingress[0]"),
    ];
    flows(story, &mut table, "apiserver", "8080", &ask).await?;
    story.change(|folder| fs::remove_file(folder.join("accept-secureshell.yaml"))).await?;
    let ask = [("shell -> apiserver:8080, the policy removed", "shell", true, "", free)];
    flows(story, &mut table, "apiserver", "8080", &ask).await
}

async fn further_policies(story: &mut Story) -> anyhow::Result<()> {
    story.change(|folder| fs::write(folder.join("more-policies.yaml"), MORE_POLICIES)).await?;
    let mut table = story.chapter("NetworkPolicy api-allow-5000: role=monitoring, and only on port 5000");
    let policy = "api-allow-5000";
    let ask = [
        ("monitoring -> apiserver:5000", "monitoring", true, policy, "spec.ingress[0]"),
        ("shell -> apiserver:5000", "shell", false, policy, "no rule allows this"),
    ];
    flows(story, &mut table, "apiserver", "5000", &ask).await?;
    let ask = [("monitoring -> apiserver:8080", "monitoring", false, policy, "no rule allows this")];
    flows(story, &mut table, "apiserver", "8080", &ask).await?;

    let mut table =
        story.chapter("NetworkPolicy test-network-policy: who reaches the database, and whom it reaches");
    let policy = "test-network-policy";
    let ask = [
        ("172.17.0.5 -> db:6379, in the ipBlock", "172.17.0.5", true, policy, "spec.ingress[0]"),
        ("172.17.1.5 -> db:6379, excepted from it", "172.17.1.5", false, policy, "no rule allows this"),
        (
            "myproject/client -> db:6379, by its namespace",
            "myproject/client",
            true,
            policy,
            "spec.ingress[0]",
        ),
        ("frontend -> db:6379, by its role", "frontend", true, policy, "spec.ingress[0]"),
        ("shell -> db:6379", "shell", false, policy, "no rule allows this"),
    ];
    flows(story, &mut table, "db", "6379", &ask).await?;
    let ask = [("frontend -> db:80", "frontend", false, policy, "no rule allows this")];
    flows(story, &mut table, "db", "80", &ask).await?;
    let ask = [("db -> 10.0.0.7:5978", "db", true, policy, "spec.egress[0]")];
    flows(story, &mut table, "10.0.0.7", "5978", &ask).await?;
    let ask = [("db -> 10.0.0.7:80", "db", false, policy, "no rule allows this")];
    flows(story, &mut table, "10.0.0.7", "80", &ask).await?;
    let ask = [("db -> 10.0.1.7:5978", "db", false, policy, "no rule allows this")];
    flows(story, &mut table, "10.0.1.7", "5978", &ask).await
}

/// The tutorial's text binds the role to a service account that does not exist.
async fn original_binding(story: &mut Story) -> anyhow::Result<()> {
    let mistaken = POLICIES.replace("\n  name: nonroot-sa\n  namespace", "\n  name: sa-nonroot\n  namespace");
    anyhow::ensure!(mistaken != POLICIES, "the tutorial's binding is not where it was");
    story.change(|folder| fs::write(folder.join("policies.yaml"), &mistaken)).await?;
    let mut table =
        story.chapter("The tutorial's original binding, to a service account that does not exist");
    let expected = Expected {
        question: "nonroot-deploy, bound to sa-nonroot",
        allowed: false,
        policy: "",
        reason: "to ServiceAccount \"default/sa-nonroot\", which does not exist",
    };
    let answer =
        story.admit(&mut table, admission(NONROOT, pb::Phase::MutateAndValidate)?, &expected).await?;
    anyhow::ensure!(
        answer.message.ends_with("PodSecurityPolicy: unable to admit pod: []"),
        "Kubernetes says no more than []: {}",
        answer.message
    );
    story.change(|folder| fs::write(folder.join("policies.yaml"), POLICIES)).await?;
    let restored = story.client().admit(admission(NONROOT, pb::Phase::MutateAndValidate)?).await?;
    anyhow::ensure!(
        restored.allowed,
        "the restored binding does not let nonroot-deploy in: {}",
        restored.message
    );
    Ok(())
}

/// Flows to one end: question, source, whether allowed, by which policy, why.
async fn flows(
    story: &mut Story,
    table: &mut super::table::Table,
    to: &str,
    port: &str,
    questions: &[(&str, &str, bool, &str, &str)],
) -> anyhow::Result<()> {
    let (protocol, port) = read_port(port)?;
    for &(question, from, allowed, policy, reason) in questions {
        let request = pb::CheckFlowRequest {
            source: Some(read_end(from)?),
            destination: Some(read_end(to)?),
            protocol: protocol.into(),
            port: port.into(),
            explain: false,
            consistency: None,
        };
        story.flow(table, request, &Expected { question, allowed, policy, reason }).await?;
    }
    Ok(())
}

/// The pod of a Deployment, as its ReplicaSet's controller would create it.
fn admission(deployment: &str, phase: pb::Phase) -> anyhow::Result<pb::AdmitRequest> {
    let document = documents(deployment.as_bytes(), "deployment.yaml").into_iter().next();
    let document = document.context("there is no Deployment")??;
    let created = created(&document.item, "default").context("this is no workload")?;
    Ok(question(created, Options { phase, explain: false, output: crate::args::Output::Text }, |_, _| true))
}
