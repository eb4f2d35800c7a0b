//! Kubernetes 1.24 with its own PodSecurityPolicy plugin beside Kubernetes 1.37 with Gavel: the same manifests, and
//! the same verdicts, messages and mutations.

mod compare;
mod controls;
mod controls_table;
mod native;
mod native_policies;

use anyhow::Context as _;

use crate::kit::{ControlPlane, GavelServer, Scenario, Version, Webhook, WebhookFlags, webhook_name};

/// One of the two.
struct Side {
    plane: ControlPlane,
    /// The group and version that PodSecurityPolicies have there.
    policies: &'static str,
    /// On Gavel's side: the server that decides, and the webhook before it.
    gavel: Option<(GavelServer, Webhook)>,
}

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let plane = scenario.own_plane().await?;
    let native = plane.start_beside(Version::V1_24, &scenario.folder).await?;
    let server = GavelServer::start(&scenario.folder, &plane.kubeconfig(plane.address)?, &[]).await?;
    let flags = WebhookFlags { messages: "kubernetes", ..Default::default() };
    let webhook = Webhook::start(&scenario.folder, &[&server], flags).await?;
    let native = Side { plane: native, policies: "policy/v1beta1", gavel: None };
    let gavel = Side { plane, policies: "policy.gavel.dev/v1", gavel: Some((server, webhook)) };
    native::play(&native, &gavel).await.context("what Kubernetes 1.24 is known to answer")?;
    controls::play(&native, &gavel).await.context("control by control")?;
    native_policies::play(scenario, &native, &gavel).await.context("Gavel following Kubernetes 1.24")
}

impl Side {
    /// Makes a namespace; on Gavel's side its pods are Gavel's to judge.
    async fn make_namespace(&self, name: &str) -> anyhow::Result<()> {
        crate::kit::objects::make_namespace(&self.plane, name).await?;
        if let Some((_, webhook)) = &self.gavel {
            webhook.validates(&self.plane, name).await?;
            webhook.mutates(&self.plane, name).await?;
        }
        Ok(())
    }

    /// A refusal in Kubernetes' words: without those that an API server puts before a webhook's.
    fn in_kubernetes_words(&self, namespace: &str, message: &str) -> String {
        let mut words = message.to_owned();
        for phase in ["mutate", "validate"] {
            let prefix =
                format!("admission webhook \"{}\" denied the request: ", webhook_name(namespace, phase));
            words = words.replace(&prefix, "");
        }
        words
    }
}
