//! Asking the server, one question after the other, and holding its answers against the tutorial's.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gavel_client::{Client, v1 as pb};

use super::table::Table;
use crate::outcome::Outcome;
use crate::render::{self, style};

/// How long the server may take to see a change of its manifests.
const PATIENCE: Duration = Duration::from_secs(30);

/// The tutorial, as it is being told.
pub(super) struct Story {
    client: Client,
    folder: PathBuf,
    asked: usize,
    /// Questions whose answers are not the tutorial's.
    differing: Vec<String>,
}

/// A question, and what the tutorial says of it.
pub(super) struct Expected<'a> {
    pub question: &'a str,
    pub allowed: bool,
    /// The policy that has to decide; empty: none.
    pub policy: &'a str,
    /// What the reason has to say.
    pub reason: &'a str,
}

impl Story {
    pub(super) fn new(client: Client, folder: &Path) -> Self {
        Self { client, folder: folder.to_owned(), asked: 0, differing: Vec::new() }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Begins a chapter, with a table of its own.
    pub(super) fn chapter(&self, title: &str) -> Table {
        anstream::println!("\n{}", style::strong(title));
        Table::default()
    }

    /// Asks whether a pod may be created, and adds a row.
    pub(super) async fn admit(
        &mut self,
        table: &mut Table,
        request: pb::AdmitRequest,
        expected: &Expected<'_>,
    ) -> anyhow::Result<pb::AdmitResponse> {
        let answer = self.client.admit(request).await.context(expected.question.to_owned())?;
        let mut reasons = Vec::new();
        if !answer.allowed {
            reasons.push(answer.message.clone());
            let told =
                |violation: &pb::Violation| format!("{} wants {}", violation.policy, violation.message);
            reasons.extend(answer.unmet.iter().map(told));
        }
        let changes = render::admission::changes(&answer.patch);
        reasons.extend(changes.into_iter().filter(|change| !change.contains("kubernetes.io/psp")));
        reasons.extend(answer.warnings.iter().map(|warning| format!("warning: {warning}")));
        if reasons.is_empty() {
            reasons.push("admitted as it is".to_owned());
        }
        let policies: Vec<&str> = match answer.policy.as_str() {
            "" => answer
                .violations
                .iter()
                .chain(&answer.unmet)
                .map(|violation| violation.policy.as_str())
                .collect(),
            policy => vec![policy],
        };
        self.row(table, expected, answer.allowed, policies.first().copied().unwrap_or_default(), &reasons);
        Ok(answer)
    }

    /// Asks whether a connection may be opened, and adds a row.
    pub(super) async fn flow(
        &mut self,
        table: &mut Table,
        request: pb::CheckFlowRequest,
        expected: &Expected<'_>,
    ) -> anyhow::Result<()> {
        let answer = self.client.check_flow(request).await.context(expected.question.to_owned())?;
        let reason = answer.reason.split_once(": ").map_or(answer.reason.as_str(), |(_, reason)| reason);
        let policy = deciding_policy(&answer);
        let allowed = answer.verdict() == pb::Verdict::Allow;
        self.row(table, expected, allowed, &policy, &[reason.to_owned()]);
        Ok(())
    }

    fn row(
        &mut self,
        table: &mut Table,
        expected: &Expected<'_>,
        allowed: bool,
        policy: &str,
        reasons: &[String],
    ) {
        self.asked += 1;
        let as_told = allowed == expected.allowed
            && policy == expected.policy
            && reasons.iter().any(|reason| reason.contains(expected.reason));
        if !as_told {
            let wanted = if expected.allowed { "allowed" } else { "denied" };
            self.differing.push(format!("{}: the tutorial says {wanted}", expected.question));
        }
        table.row(expected.question, allowed, as_told, policy, reasons);
    }

    /// Changes the manifests, and waits until the server has seen it.
    pub(super) async fn change(
        &self,
        change: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        let before = self.client.get_snapshot().await?.revision;
        change(&self.folder).context("changing the manifests")?;
        let started = Instant::now();
        loop {
            let snapshot = self.client.get_snapshot().await?;
            if snapshot.revision > before {
                return Ok(());
            }
            if let Some(error) =
                snapshot.diagnostics.iter().find(|found| found.severity() == pb::Severity::Error)
            {
                anyhow::bail!("the changed manifests are refused: {}: {}", error.file, error.message);
            }
            anyhow::ensure!(
                started.elapsed() < PATIENCE,
                "the server has not seen the change of its manifests"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The end: whether every answer was the tutorial's.
    pub(super) fn conclude(&self) -> Outcome {
        if self.differing.is_empty() {
            anstream::println!("\n{} answers, all as the tutorial has them.", self.asked);
            return Outcome::Yes;
        }
        for differing in &self.differing {
            anstream::println!("{}: {differing}", style::error("differs"));
        }
        Outcome::No
    }
}

/// The policy that a flow's answer hangs on: the one that allowed it, or the first that isolates without allowing.
fn deciding_policy(answer: &pb::CheckFlowResponse) -> String {
    let name = |policy: &pb::PolicyRef| policy.name.clone();
    let legs = || [&answer.egress, &answer.ingress].into_iter().flatten();
    let denied =
        legs().filter(|leg| leg.verdict() == pb::Verdict::Deny).find_map(|leg| leg.isolating.first());
    let allowed = || legs().find_map(|leg| leg.allowed_by.as_ref()?.policy.as_ref());
    denied.or_else(allowed).map(name).unwrap_or_default()
}
