//! Flows between the pods of a live cluster: the network tutorial, and what pods, labels, addresses and namespaces do
//! to it while they change.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use gavel_proto::v1;
use gavel_proto::v1::end::End;
use serde_json::{Value, json};

use crate::kit::{
    ControlPlane, GavelServer, Scenario, at_least, in_repository, objects, resource_version, wait,
};

const NAMESPACE: &str = "flows";
const OTHER: &str = "flows-other";
const SOON: Duration = Duration::from_secs(60);
const PODS: &str = "client/cli/demo/network/pods.yaml";
const ACCEPT_SECURESHELL: &str = "client/cli/demo/network/accept-secureshell.yaml";
const ADDRESSES: [(&str, &str); 3] =
    [("apiserver", "10.99.0.1"), ("shell", "10.99.0.2"), ("secureshell", "10.99.0.3")];

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let plane = scenario.shared_plane().await?;
    let server = GavelServer::start(&scenario.folder, &plane.kubeconfig(plane.address)?, &[]).await?;
    let cluster = Cluster { plane, server: &server };
    let pods = cluster.tutorial_pods().await?;
    tutorial(&cluster, &pods).await?;
    changes(&cluster).await?;
    namespaces(&cluster).await?;
    workloads(&cluster).await?;
    gone(&cluster).await
}

struct Cluster<'a> {
    plane: &'a ControlPlane,
    server: &'a GavelServer,
}

impl Cluster<'_> {
    /// The tutorial's pods, with addresses, as a network plugin and a kubelet would have given them.
    async fn tutorial_pods(&self) -> anyhow::Result<Value> {
        self.apply(PODS).await?;
        let mut last = Value::Null;
        for (pod, address) in ADDRESSES {
            last = self
                .set_status(pod, &json!({"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}))
                .await?;
        }
        Ok(last)
    }

    async fn apply(&self, file: &str) -> anyhow::Result<()> {
        let path = in_repository(file);
        self.plane.kubectl.run(&["-n", NAMESPACE, "apply", "-f", &path.to_string_lossy()]).await?;
        Ok(())
    }

    async fn set_status(&self, pod: &str, status: &Value) -> anyhow::Result<Value> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}/status");
        self.plane.rest.merge(&path, &json!({"status": status})).await
    }

    /// May one end reach the API server, once Gavel knows of this write?
    async fn asks(
        &self,
        from: End,
        to: End,
        after: Option<(&str, &Value)>,
    ) -> anyhow::Result<v1::CheckFlowResponse> {
        let consistency = match after {
            Some((kind, object)) => Some(at_least(kind, &resource_version(object)?)),
            None => None,
        };
        let end = |end| Some(v1::End { end: Some(end) });
        let request = v1::CheckFlowRequest {
            source: end(from),
            destination: end(to),
            port: 8080,
            consistency,
            ..Default::default()
        };
        Ok(self.server.check_flow(request).await?)
    }

    /// Holds the verdict on a flow to the API server against what it has to be, once Gavel knows of this write.
    async fn is(
        &self,
        what: &str,
        from: End,
        allowed: bool,
        kind: &str,
        after: &Value,
    ) -> anyhow::Result<()> {
        let answer =
            self.asks(from, pod("apiserver"), Some((kind, after))).await.with_context(|| what.to_owned())?;
        let verdict = answer.verdict() == v1::Verdict::Allow;
        ensure!(verdict == allowed, "{what}: {answer:?}");
        Ok(())
    }

    async fn policy(&self, spec: Value) -> anyhow::Result<Value> {
        let path =
            format!("/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies/accept-secureshell");
        self.plane.rest.merge(&path, &json!({"spec": spec})).await
    }
}

fn pod(name: &str) -> End {
    End::Pod(v1::PodRef { namespace: NAMESPACE.to_owned(), name: name.to_owned(), ip: String::new() })
}

fn ip(address: &str) -> End {
    End::Ip(address.to_owned())
}

/// Shell reaches the API server; with the policy only secureshell does; without it shell does again.
async fn tutorial(cluster: &Cluster<'_>, pods: &Value) -> anyhow::Result<()> {
    cluster.is("no policy yet", pod("shell"), true, "Pod", pods).await?;
    cluster.apply(ACCEPT_SECURESHELL).await?;
    let path =
        format!("/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies/accept-secureshell");
    let policy = cluster.plane.rest.get(&path).await?;
    cluster.is("shell, by name", pod("shell"), false, "NetworkPolicy", &policy).await?;
    cluster.is("secureshell, by name", pod("secureshell"), true, "NetworkPolicy", &policy).await?;
    for (from, allowed) in [("10.99.0.2", false), ("10.99.0.3", true), ("10.99.0.77", false)] {
        let answer = cluster.asks(ip(from), ip("10.99.0.1"), None).await?;
        ensure!((answer.verdict() == v1::Verdict::Allow) == allowed, "{from}: {answer:?}");
        ensure!(answer.reason.contains("accept-secureshell"), "not a word of the policy: {answer:?}");
    }
    cluster.plane.rest.delete(&path).await?;
    let open = async || cluster.asks(pod("shell"), pod("apiserver"), None).await;
    wait::until_is("shell is served again", SOON, open, |answer| answer.verdict() == v1::Verdict::Allow)
        .await?;
    cluster.apply(ACCEPT_SECURESHELL).await
}

/// Labels and addresses of pods, and rules of the policy, change under it.
async fn changes(cluster: &Cluster<'_>) -> anyhow::Result<()> {
    let shell = format!("/api/v1/namespaces/{NAMESPACE}/pods/shell");
    let labelled =
        cluster.plane.rest.merge(&shell, &json!({"metadata": {"labels": {"app": "secureshell"}}})).await?;
    cluster.is("shell, labelled as secureshell", pod("shell"), true, "Pod", &labelled).await?;
    let labelled =
        cluster.plane.rest.merge(&shell, &json!({"metadata": {"labels": {"app": "shell"}}})).await?;
    cluster.is("shell, labelled back", pod("shell"), false, "Pod", &labelled).await?;

    let block =
        json!({"ingress": [{"from": [{"ipBlock": {"cidr": "10.99.1.0/24", "except": ["10.99.1.128/25"]}}]}]});
    let policy = cluster.policy(block).await?;
    cluster.is("outside of the block", pod("shell"), false, "NetworkPolicy", &policy).await?;
    for (address, allowed) in [("10.99.1.5", true), ("10.99.1.200", false)] {
        let moved =
            cluster.set_status("shell", &json!({"podIP": address, "podIPs": [{"ip": address}]})).await?;
        cluster.is(address, pod("shell"), allowed, "Pod", &moved).await?;
    }
    Ok(())
}

/// A namespace's labels decide as soon as they are written.
async fn namespaces(cluster: &Cluster<'_>) -> anyhow::Result<()> {
    objects::make_namespace(cluster.plane, OTHER).await?;
    let client = objects::pod(OTHER, "client", json!({}));
    let created = cluster.plane.rest.create(&client).await?;
    let policy = cluster
        .policy(json!({"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"project": "myproject"}}}]}]}))
        .await?;
    let from =
        || End::Pod(v1::PodRef { namespace: OTHER.to_owned(), name: "client".to_owned(), ip: String::new() });
    cluster.is("before", from(), false, "Pod", &created).await?;
    cluster.is("before, with the policy", from(), false, "NetworkPolicy", &policy).await?;
    let path = format!("/api/v1/namespaces/{OTHER}");
    for (label, allowed) in [(json!("myproject"), true), (Value::Null, false)] {
        let namespace =
            cluster.plane.rest.merge(&path, &json!({"metadata": {"labels": {"project": label}}})).await?;
        cluster.is("the namespace labelled", from(), allowed, "Namespace", &namespace).await?;
    }
    Ok(())
}

/// A Deployment stands for its pods, though it is the ReplicaSet that owns them.
async fn workloads(cluster: &Cluster<'_>) -> anyhow::Result<()> {
    let mut web = objects::deployment(NAMESPACE, "web", 2, json!({}));
    let labels = json!({"app": "web", "tier": "front"});
    web["spec"]["template"]["metadata"]["labels"] = labels.clone();
    web["spec"]["selector"] = json!({"matchLabels": labels});
    cluster.plane.rest.create(&web).await?;
    let workload = || {
        End::Workload(v1::WorkloadRef {
            namespace: NAMESPACE.to_owned(),
            kind: "Deployment".to_owned(),
            name: "web".to_owned(),
        })
    };
    let known = async || Ok(cluster.asks(workload(), pod("apiserver"), None).await.ok());
    let answer = wait::until_is("the Deployment's pods are known", SOON, known, Option::is_some).await?;
    let answer = answer.context("no answer")?;
    ensure!(answer.verdict() == v1::Verdict::Deny, "{answer:?}");
    let policy = cluster
        .policy(json!({"ingress": [{"from": [{"podSelector": {"matchLabels": {"tier": "front"}}}]}]}))
        .await?;
    cluster.is("the Deployment, let in", workload(), true, "NetworkPolicy", &policy).await
}

/// A pod that is gone is no end of a flow, and its address is nobody's: that of a pod that has ended, too.
async fn gone(cluster: &Cluster<'_>) -> anyhow::Result<()> {
    let front = json!({"metadata": {"labels": {"tier": "front"}}});
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/secureshell");
    let labelled = cluster.plane.rest.merge(&path, &front).await?;
    cluster.is("secureshell, let in by name", pod("secureshell"), true, "Pod", &labelled).await?;
    cluster.is("and by address", ip("10.99.0.3"), true, "Pod", &labelled).await?;
    let ended = cluster.set_status("secureshell", &json!({"phase": "Succeeded"})).await?;
    cluster.is("the address of a pod that has ended", ip("10.99.0.3"), false, "Pod", &ended).await?;
    cluster.plane.rest.delete(&format!("{path}?gracePeriodSeconds=0")).await?;
    let asked = async || Ok(cluster.asks(pod("secureshell"), pod("apiserver"), None).await);
    let refused = wait::until_is("the pod is gone", SOON, asked, Result::is_err).await?;
    let Err(refused) = refused else { anyhow::bail!("a pod that is gone was answered") };
    let refused = refused.to_string();
    ensure!(refused.contains("source.pod"), "{refused}");
    Ok(())
}
