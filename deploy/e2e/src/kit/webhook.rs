//! gavel-webhook, as a user starts it, and the configurations that make an API server ask it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use serde_json::{Value, json};

use super::control_plane::ControlPlane;
use super::folder::Folder;
use super::http::Http;
use super::objects;
use super::ports::free_port;
use super::process::{Process, Program};
use super::server::{GavelServer, program};
use super::wait;

/// How long it may take to be ready, and an API server to take notice of a configuration.
const SOON: Duration = Duration::from_secs(60);

/// A webhook. It ends with its owner.
pub(crate) struct Webhook {
    /// HTTPS, as the API server speaks to it.
    pub(crate) https: Http,
    address: SocketAddr,
    authority: PathBuf,
    admin: Http,
    /// Where it serves metrics and probes.
    pub(crate) admin_address: SocketAddr,
    process: Process,
}

/// What a webhook is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WebhookFlags<'a> {
    pub(crate) on_unavailable: &'a str,
    pub(crate) messages: &'a str,
    pub(crate) more: &'a [&'a str],
}

impl Default for WebhookFlags<'_> {
    fn default() -> Self {
        Self { on_unavailable: "deny", messages: "explained", more: &[] }
    }
}

impl Webhook {
    /// Starts a webhook that asks these servers, with a certificate it issued itself, and waits until it is ready.
    pub(crate) async fn start(
        folder: &Folder,
        servers: &[&GavelServer],
        flags: WebhookFlags<'_>,
    ) -> anyhow::Result<Self> {
        let mut webhook = Self::spawn(folder, servers, flags)?;
        webhook.until_ready().await?;
        Ok(webhook)
    }

    /// Starts a webhook, and does not wait for it.
    pub(crate) fn spawn(
        folder: &Folder,
        servers: &[&GavelServer],
        flags: WebhookFlags<'_>,
    ) -> anyhow::Result<Self> {
        let (address, admin) = (free_port()?, free_port()?);
        let binary = program("gavel-webhook")?;
        let certificates = folder.file("certificates");
        let issued = Command::new(&binary)
            .args(["issue-certificate", "--dns-name", "127.0.0.1", "--dns-name", "localhost", "--out"])
            .arg(&certificates)
            .output()?;
        ensure!(issued.status.success(), "issue-certificate: {}", String::from_utf8_lossy(&issued.stderr));
        let authority = certificates.join("ca.crt");
        let mut arguments = vec![
            format!("--listen={address}"),
            format!("--admin-listen={admin}"),
            format!("--tls-cert={}", certificates.join("tls.crt").display()),
            format!("--tls-key={}", certificates.join("tls.key").display()),
            format!("--on-unavailable={}", flags.on_unavailable),
            format!("--messages={}", flags.messages),
        ];
        for server in servers {
            arguments.push(format!("--server={}", server.address));
        }
        arguments.extend(flags.more.iter().map(ToString::to_string));
        Ok(Self {
            https: Http::new(&format!("https://{address}"), Some(&authority), None)?,
            address,
            authority,
            admin: Http::new(&format!("http://{admin}"), None, None)?,
            admin_address: admin,
            process: Process::start(Program::new(&binary, "gavel-webhook", arguments), folder)?,
        })
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let (admin, process) = (&self.admin, &mut self.process);
        wait::until("the webhook is ready", SOON, async || {
            process.check()?;
            Ok(admin.get("/readyz").await.is_ok_and(|response| response.status == 200).then_some(()))
        })
        .await
    }

    /// All of `/metrics`.
    pub(crate) async fn metrics(&self) -> anyhow::Result<String> {
        Ok(self.admin.get("/metrics").await?.body)
    }

    /// Has the API server ask `/validate` about the pods of a namespace, and waits until it does.
    pub(crate) async fn validates(&self, plane: &ControlPlane, namespace: &str) -> anyhow::Result<()> {
        self.has_validated(plane, namespace).await?;
        until_asked(plane, namespace, &webhook_name(namespace, "validate")).await
    }

    /// Has the API server ask `/mutate` about the pods of a namespace, and waits until it does.
    pub(crate) async fn mutates(&self, plane: &ControlPlane, namespace: &str) -> anyhow::Result<()> {
        self.configure(plane, namespace, "MutatingWebhookConfiguration", "mutate").await?;
        until_asked(plane, namespace, &webhook_name(namespace, "mutate")).await
    }

    /// Has the API server ask `/validate` about the pods of a namespace, some time soon.
    pub(crate) async fn has_validated(&self, plane: &ControlPlane, namespace: &str) -> anyhow::Result<()> {
        self.configure(plane, namespace, "ValidatingWebhookConfiguration", "validate").await
    }

    /// How an API server reaches it.
    pub(crate) fn client_config(&self, phase: &str) -> anyhow::Result<Value> {
        let authority = std::fs::read(&self.authority).context("issue-certificate left no ca.crt")?;
        Ok(json!({
            "url": format!("https://{}/{phase}", self.address),
            "caBundle": base64::engine::general_purpose::STANDARD.encode(authority),
        }))
    }

    /// Kills it at once.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    async fn configure(
        &self,
        plane: &ControlPlane,
        namespace: &str,
        kind: &str,
        phase: &str,
    ) -> anyhow::Result<()> {
        let name = webhook_name(namespace, phase);
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": name},
            "webhooks": [{
                "name": name,
                "clientConfig": self.client_config(phase)?,
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
                    "operations": ["CREATE", "UPDATE"],
                }],
                // Each scenario keeps to its own namespace.
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "timeoutSeconds": 10,
                "admissionReviewVersions": ["v1"],
            }],
        });
        plane.rest.create(&configuration).await?;
        Ok(())
    }
}

/// Name of a scenario's webhook, as refusals tell it.
pub(crate) fn webhook_name(namespace: &str, phase: &str) -> String {
    format!("{phase}.{namespace}.e2e.gavel.dev")
}

/// Waits until the API server asks the webhook. A user without any grant tries to create a pod, and stores nothing,
/// until it is this webhook that refuses.
pub(crate) async fn until_asked(plane: &ControlPlane, namespace: &str, name: &str) -> anyhow::Result<()> {
    let stranger = plane.rest.as_user(objects::STRANGER);
    let pod = objects::pod(namespace, "is-the-webhook-asked", json!({"hostPID": true}));
    wait::until_is(
        "the API server asks the webhook",
        SOON,
        async || stranger.try_create_dry(&pod).await,
        |answer| answer.as_ref().is_err_and(|refusal| refusal.message.contains(name)),
    )
    .await?
    .err()
    .context("nobody was refused")?;
    Ok(())
}
