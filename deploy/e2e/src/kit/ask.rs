//! Questions to Gavel, and policies that give away which version of them answered.

use anyhow::{Context as _, ensure};
use gavel_proto::v1;
use serde_json::{Value, json};

use super::control_plane::ControlPlane;
use super::objects::{self, STRANGER};
use super::rest::resource_version;
use super::server::{GavelServer, at_least};

/// May this pod be created, by somebody without any grant of their own?
pub(crate) fn admission(pod: &Value) -> v1::AdmitRequest {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    v1::AdmitRequest {
        uid: "e2e".to_owned(),
        operation: v1::Operation::Create.into(),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        user: Some(v1::UserInfo { username: STRANGER.to_owned(), ..Default::default() }),
        object: pod.to_string().into_bytes().into(),
        phase: v1::Phase::Mutate.into(),
        ..Default::default()
    }
}

/// The same, to be answered once Gavel knows of a write: the object as the API server returned it.
pub(crate) fn admission_after(pod: &Value, kind: &str, written: &Value) -> anyhow::Result<v1::AdmitRequest> {
    let consistency = Some(at_least(kind, &resource_version(written)?));
    Ok(v1::AdmitRequest { consistency, ..admission(pod) })
}

/// A policy with a number on it: pods without an fsGroup get it as theirs.
#[derive(Clone, Debug)]
pub(crate) struct NumberedPolicy {
    namespace: String,
    name: String,
}

impl NumberedPolicy {
    /// Writes the policy with this number, and lets the namespace's default service account use it.
    pub(crate) async fn create(plane: &ControlPlane, namespace: &str, number: u32) -> anyhow::Result<Self> {
        let name = format!("{namespace}-numbered");
        plane.rest.create_all(&objects::granted_policy(namespace, &name, spec(number))).await?;
        Ok(Self { namespace: namespace.to_owned(), name })
    }

    /// Path of the policy.
    pub(crate) fn path(&self) -> String {
        format!("/apis/policy.gavel.dev/v1/podsecuritypolicies/{}", self.name)
    }

    /// Puts another number on it; gives back the object as written.
    pub(crate) async fn set(&self, plane: &ControlPlane, number: u32) -> anyhow::Result<Value> {
        plane.rest.merge(&self.path(), &json!({"spec": spec(number)})).await
    }

    /// A pod that the policy puts its number on, as an API server shows it to webhooks: with its service account.
    pub(crate) fn pod(&self, name: &str) -> Value {
        objects::pod(&self.namespace, name, json!({"serviceAccountName": "default"}))
    }

    /// Which number does Gavel decide by now?
    pub(crate) async fn ask(&self, server: &GavelServer) -> anyhow::Result<(u32, v1::AdmitResponse)> {
        let pod = self.pod("asked");
        decided_by(server, &pod, admission(&pod)).await
    }

    /// Which number does Gavel decide by, once it knows of this write to the policy?
    pub(crate) async fn ask_after(&self, server: &GavelServer, written: &Value) -> anyhow::Result<u32> {
        let pod = self.pod("asked");
        let question = admission_after(&pod, "PodSecurityPolicy", written)?;
        Ok(decided_by(server, &pod, question).await?.0)
    }
}

async fn decided_by(
    server: &GavelServer,
    pod: &Value,
    question: v1::AdmitRequest,
) -> anyhow::Result<(u32, v1::AdmitResponse)> {
    let answer = server.admit(question).await?;
    ensure!(answer.allowed, "refused: {} {:?}", answer.message, answer.warnings);
    Ok((number(pod, &answer)?, answer))
}

fn spec(number: u32) -> Value {
    json!({"fsGroup": {"rule": "MustRunAs", "ranges": [{"min": number, "max": number}]}})
}

/// The number that an answer to this pod reveals.
fn number(pod: &Value, answer: &v1::AdmitResponse) -> anyhow::Result<u32> {
    let mut patched = pod.clone();
    let patch: json_patch::Patch =
        serde_json::from_slice(&answer.patch).context("the patch is no JSON Patch")?;
    json_patch::patch(&mut patched, &patch)?;
    let number = patched["spec"]["securityContext"]["fsGroup"].as_u64();
    Ok(u32::try_from(number.with_context(|| format!("no fsGroup in {patched}"))?)?)
}
