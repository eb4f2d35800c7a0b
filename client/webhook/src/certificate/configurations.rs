//! Whom the API server trusts: `caBundle` of the webhooks of a configuration.

use std::fmt::Debug;

use anyhow::Context as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};

use super::cluster::{MANAGER, TRIES, is_conflict};

/// A kind of configuration: its webhooks, by their names.
trait Configuration: Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope> {
    fn webhooks(&self) -> Vec<(&str, &WebhookClientConfig)>;
}

impl Configuration for MutatingWebhookConfiguration {
    fn webhooks(&self) -> Vec<(&str, &WebhookClientConfig)> {
        self.webhooks.iter().flatten().map(|one| (one.name.as_str(), &one.client_config)).collect()
    }
}

impl Configuration for ValidatingWebhookConfiguration {
    fn webhooks(&self) -> Vec<(&str, &WebhookClientConfig)> {
        self.webhooks.iter().flatten().map(|one| (one.name.as_str(), &one.client_config)).collect()
    }
}

/// Has the API server trust these authorities in all webhooks of the configurations of this name; how many were changed.
///
/// # Errors
/// When there is no configuration of this name, or it cannot be changed.
pub(super) async fn trust(client: &Client, name: &str, authorities: &[u8]) -> anyhow::Result<usize> {
    let mutating = trust_in::<MutatingWebhookConfiguration>(client, name, authorities).await?;
    let validating = trust_in::<ValidatingWebhookConfiguration>(client, name, authorities).await?;
    anyhow::ensure!(
        mutating.is_some() || validating.is_some(),
        "--webhook-configuration {name}: there is neither a MutatingWebhookConfiguration nor a \
         ValidatingWebhookConfiguration of this name"
    );
    Ok(mutating.unwrap_or_default() + validating.unwrap_or_default())
}

async fn trust_in<K>(client: &Client, name: &str, authorities: &[u8]) -> anyhow::Result<Option<usize>>
where
    K: Configuration + Clone + Debug + serde::de::DeserializeOwned,
{
    let what = || format!("{} {name}", K::kind(&()));
    let api: Api<K> = Api::all(client.clone());
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    for _ in 0..TRIES {
        let Some(found) = api.get_opt(name).await.with_context(what)? else { return Ok(None) };
        let webhooks = distrusting(&found, authorities);
        if webhooks.is_empty() {
            return Ok(Some(0));
        }
        // A strategic merge: webhooks are known by their names, and whatever else is in them stays. The resourceVersion
        // makes it fail when somebody else was quicker.
        let patch =
            json!({"metadata": {"resourceVersion": found.meta().resource_version}, "webhooks": webhooks});
        match api.patch(name, &params, &Patch::Strategic(patch)).await {
            Ok(_) => return Ok(Some(webhooks.len())),
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(error).with_context(what),
        }
    }
    anyhow::bail!("{} was changed by somebody else, {TRIES} times in a row", what())
}

/// The webhooks that do not trust just these authorities, as a patch.
fn distrusting(configuration: &impl Configuration, authorities: &[u8]) -> Vec<Value> {
    let bundle = ByteString(authorities.to_vec());
    let webhooks = configuration.webhooks().into_iter();
    webhooks
        .filter(|(_, client)| client.ca_bundle.as_ref() != Some(&bundle))
        .map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": bundle}}))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_changed() {
        let configuration: ValidatingWebhookConfiguration = serde_json::from_value(json!({
            "metadata": {"name": "gavel"},
            "webhooks": [
                {"name": "none", "clientConfig": {}, "admissionReviewVersions": ["v1"], "sideEffects": "None"},
                {"name": "same", "clientConfig": {"caBundle": "YQ=="}, "admissionReviewVersions": ["v1"], "sideEffects": "None"},
                {"name": "other", "clientConfig": {"caBundle": "Yg=="}, "admissionReviewVersions": ["v1"], "sideEffects": "None"},
            ],
        }))
        .unwrap();
        assert_eq!(
            distrusting(&configuration, b"a"),
            [
                json!({"name": "none", "clientConfig": {"caBundle": "YQ=="}}),
                json!({"name": "other", "clientConfig": {"caBundle": "YQ=="}}),
            ]
        );
    }
}
