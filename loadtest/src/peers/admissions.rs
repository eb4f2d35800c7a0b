//! Admissions by the cluster's policies: what others are asked, and OPA beside Gavel's server.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use gavel_engine::Snapshot;
use gavel_generator::Cluster;
use gavel_proto::v1;
use gavel_server::decide;
use serde_json::{Value, json};

use super::compare_flows::ask;
use super::{Bench, Row, opa, same, told};
use crate::Questions;

/// Policies, grants, and who asks for which pod.
pub(super) struct Admissions {
    pub(super) objects: Vec<Value>,
    /// As others are asked,
    pub(super) requests: Vec<Value>,
    /// and as Gavel is.
    pub(super) questions: Vec<v1::AdmitRequest>,
}

impl Admissions {
    fn new(cluster: &Cluster, count: usize) -> anyhow::Result<Self> {
        const KINDS: [&str; 5] =
            ["PodSecurityPolicy", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];
        let objects = cluster.objects();
        let objects =
            objects.filter(|object| object["kind"].as_str().is_some_and(|kind| KINDS.contains(&kind)));
        let mut all = Self { objects: objects.collect(), requests: Vec::new(), questions: Vec::new() };
        for review in cluster.admissions().take(count) {
            let question = gavel_client::review::read(&Bytes::from(serde_json::to_vec(&review)?))?;
            let request = &review["request"];
            all.requests.push(json!({
                "namespace": request["namespace"], "name": request["name"].as_str().unwrap_or_default(),
                "user": request["userInfo"]["username"], "groups": request["userInfo"]["groups"],
                "object": request["object"],
            }));
            all.questions.push(question);
        }
        Ok(all)
    }

    /// `data` of `peers/opa/admission.rego`.
    fn for_opa(&self) -> anyhow::Result<Value> {
        let mut policies = serde_json::Map::new();
        let mut roles = BTreeMap::new();
        for object in &self.objects {
            let name = object["metadata"]["name"].as_str().context("an object without a name")?;
            match object["kind"].as_str() {
                Some("PodSecurityPolicy") => {
                    let mut policy = object["spec"].clone();
                    policy["annotations"] = object["metadata"]["annotations"].clone();
                    policies.insert(name.to_owned(), policy);
                }
                Some("ClusterRole") => drop(roles.insert(name, usable(object)?)),
                Some("Role") => anyhow::bail!("a Role, which the generator did not have"),
                _ => {}
            }
        }
        let mut grants = json!({});
        for object in &self.objects {
            let Some(subjects) = object["subjects"].as_array() else { continue };
            let role = object["roleRef"]["name"].as_str().unwrap_or_default();
            let names = roles.get(role).with_context(|| format!("no ClusterRole {role}"))?;
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            for subject in subjects {
                let name = subject["name"].as_str().unwrap_or_default();
                let key = match subject["kind"].as_str() {
                    Some("ServiceAccount") => {
                        let of = subject["namespace"].as_str().unwrap_or_default();
                        format!("User:system:serviceaccount:{of}:{name}")
                    }
                    Some(kind) => format!("{kind}:{name}"),
                    None => anyhow::bail!("a subject of no kind"),
                };
                for name in names {
                    grants[namespace][&key][name] = true.into();
                }
            }
        }
        Ok(json!({"policies": policies, "grants": grants}))
    }
}

/// The policies that a role lets use, by name.
fn usable(role: &Value) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        ensure!(
            rule["resources"] == json!(["podsecuritypolicies"]) && rule["verbs"] == json!(["use"]),
            "a rule that the generator did not have: {rule}"
        );
        names.extend(
            rule["resourceNames"].as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into),
        );
    }
    Ok(names)
}

impl Bench<'_> {
    /// Admissions, beside Kubernetes 1.24's plugin, pod-security-admission and OPA.
    ///
    /// # Errors
    /// When somebody does not answer, or not the same.
    pub(super) async fn admissions(
        &self,
        cluster: &Cluster,
        snapshot: &Snapshot,
    ) -> anyhow::Result<Vec<Row>> {
        let all = Admissions::new(cluster, self.peers.questions)?;
        let typed: Vec<_> = all.questions.iter().filter_map(gavel_conformance::typed::request_of).collect();
        ensure!(typed.len() == all.questions.len(), "some pods cannot be written as messages");
        let admit = |question: &v1::AdmitRequest| {
            decide::admit(snapshot, question).map(|answer| answer.allowed).map_err(anyhow::Error::from)
        };
        let gavel: Vec<bool> = all.questions.iter().map(admit).collect::<anyhow::Result<_>>()?;
        ensure!(
            gavel == typed.iter().map(admit).collect::<anyhow::Result<Vec<_>>>()?,
            "messages and JSON differ"
        );
        let words = |index: usize| all.requests[index].to_string();
        let mut rows = self.beside_plugin(&all, snapshot, &gavel)?.to_vec();
        rows.extend(self.beside_standard(&all)?);

        let opa = self.opa("admission", &all.for_opa()?).await?;
        let inputs = opa::questions(all.requests.iter().map(|request| {
            let mut input = request.clone();
            input["pod"] = input["object"].take();
            input
        }))?;
        let answers = opa.verdicts("/v1/data/admission/allow", &inputs).await?;
        same("OPA", &gavel, &answers, words)?;
        let served = self.server().await?;
        let as_json: Arc<Questions> = Arc::new(all.questions.iter().cloned().collect());
        let as_messages: Arc<Questions> = Arc::new(typed.iter().cloned().collect());
        let mut of_json = self.row("Admit of JSON, over the wire", opa::NAME, gavel.len(), 20.0);
        let mut of_messages = self.row("Admit of a message, over the wire", opa::NAME, gavel.len(), 20.0);
        for round in 0..self.peers.rounds {
            let of_opa = opa.micros("/v1/data/admission/allow", &inputs, self.peers.window).await?;
            of_json.peer_micros.push(of_opa);
            of_messages.peer_micros.push(of_opa);
            of_json.gavel_micros.push(ask(&served, &as_json, 1, 16, self.peers.window).await?);
            of_messages.gavel_micros.push(ask(&served, &as_messages, 1, 16, self.peers.window).await?);
            told(&format!("admissions: round {} of {}", round + 1, self.peers.rounds));
        }
        served.stop().await?;
        rows.extend([of_json, of_messages]);
        Ok(rows)
    }
}
