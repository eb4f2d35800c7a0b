//! No policy that anybody may use: nothing is admitted, in Kubernetes' words. The namespaces that the shipped
//! configurations exempt live on, even without a webhook.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::kit::{
    ControlPlane, GavelServer, Scenario, Webhook, WebhookFlags, in_repository, objects, wait, webhook,
};

/// What Kubernetes 1.24 says when there is no policy at all, and when there is none for the asker.
const NONE: &str = "is forbidden: PodSecurityPolicy: no providers available to validate pod request";
const NONE_USABLE: &str = "is forbidden: PodSecurityPolicy: unable to admit pod: []";

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let plane = scenario.own_plane().await?;
    let server = GavelServer::start(&scenario.folder, &plane.kubeconfig(plane.address)?, &[]).await?;
    let flags = WebhookFlags { messages: "kubernetes", ..Default::default() };
    let mut webhook = Webhook::start(&scenario.folder, &[&server], flags).await?;
    as_shipped(&plane, &webhook, scenario.name).await?;

    let stranger = plane.rest.as_user(objects::STRANGER);
    let pod = |name: &str| objects::pod(scenario.name, name, json!({}));
    let refused = async |rest: &crate::kit::Rest, name: &str| {
        let answer = rest.try_create(&pod(name)).await?;
        anyhow::Ok(answer.err().with_context(|| format!("{name} was admitted"))?.message)
    };
    // The administrator may use any policy; there is none.
    for rest in [&plane.rest, &stranger] {
        let message = refused(rest, "nobody").await?;
        ensure!(message.ends_with(&format!("pods \"nobody\" {NONE}")), "{message}");
    }
    exempt(&plane, "kube-system", "while-all-is-well").await?;

    let policy = plane.rest.create(&objects::policy("empty-not-granted", json!({}))).await?;
    server.holds_object("PodSecurityPolicy", &policy).await?;
    let message = refused(&stranger, "stranger").await?;
    ensure!(message.ends_with(&format!("pods \"stranger\" {NONE_USABLE}")), "{message}");
    plane.rest.create(&pod("administrator")).await.context("the administrator may use any policy")?;

    // Whatever becomes of Gavel, the cluster's own parts can be created.
    webhook.kill()?;
    let message = refused(&plane.rest, "after-the-webhook").await?;
    ensure!(message.contains("failed calling webhook"), "{message}");
    exempt(&plane, "kube-system", "without-a-webhook").await
}

/// The configurations of deploy/kubernetes, as they are but for where the webhook is.
async fn as_shipped(plane: &ControlPlane, webhook: &Webhook, namespace: &str) -> anyhow::Result<()> {
    let folder = in_repository("deploy/kubernetes/webhooks");
    let arguments = ["create", "--dry-run=client", "-o", "json", "-k", &folder.to_string_lossy()];
    let text = plane.kubectl.run(&arguments).await?;
    // One document after another, or a list.
    let mut configurations = Vec::new();
    for document in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        let document = document?;
        match document["items"].as_array() {
            Some(items) => configurations.extend(items.clone()),
            None => configurations.push(document),
        }
    }
    ensure!(configurations.len() == 2, "{} webhook configurations", configurations.len());
    for configuration in &mut configurations {
        let phase = match configuration["kind"].as_str() {
            Some("MutatingWebhookConfiguration") => "mutate",
            _ => "validate",
        };
        let webhooks = configuration["webhooks"].as_array_mut().context("no webhooks")?;
        for shipped in webhooks {
            shipped["clientConfig"] = webhook.client_config(phase)?;
        }
        plane.rest.create(configuration).await?;
    }
    for configuration in &configurations {
        let name = configuration["webhooks"][0]["name"].as_str().context("a webhook without a name")?;
        // The mutating one refuses first; it has to be there for the validating one's turn not to come.
        if name.starts_with("mutate") {
            webhook::until_asked(plane, namespace, name).await?;
        }
    }
    Ok(())
}

/// A deployment of an exempt namespace gets its pod.
async fn exempt(plane: &ControlPlane, namespace: &str, name: &str) -> anyhow::Result<()> {
    plane.rest.create(&objects::deployment(namespace, name, 1, json!({"hostNetwork": true}))).await?;
    let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector=app%3D{name}");
    let pods = async || Ok(plane.rest.get(&path).await?["items"].as_array().map_or(0, Vec::len));
    let soon = std::time::Duration::from_secs(60);
    wait::until_is(&format!("{namespace}/{name} has its pod"), soon, pods, |count| *count == 1).await?;
    Ok(())
}
