//! Flows, beside cyclonus in process and OPA over the wire.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use gavel_engine::Snapshot;
use gavel_generator::Cluster;
use gavel_proto::v1::AnswerDetail;
use serde_json::json;

use super::flows::{Flow, Flows};
use super::go::Evaluator;
use super::{Bench, Row, micros, opa, same, told};
use crate::report::servers::{Programs, Served};
use crate::{Load, Pace, Questions};

/// Questions of a message, where there are many.
const BATCH: usize = 100;

impl Bench<'_> {
    /// Flows, beside cyclonus and OPA.
    ///
    /// # Errors
    /// When somebody does not answer, or not the same.
    pub(super) async fn flows(&self, cluster: &Cluster, snapshot: &Snapshot) -> anyhow::Result<Vec<Row>> {
        let flows = Flows::new(cluster, self.peers.questions)?;
        let requests = flows.for_engine();
        let decide = |index: usize| snapshot.check_flow(&requests[index]).map(|decision| decision.allowed());
        let gavel: Vec<bool> = (0..requests.len())
            .map(|index| decide(index).map_err(|error| anyhow::anyhow!("{}", error.message)))
            .collect::<anyhow::Result<_>>()?;
        let words = |index: usize| format!("{:?}", flows.flows[index]);

        let (mut cyclonus, answers) = Evaluator::start(&self.build("cyclonus", ".")?, &flows.for_cyclonus())?;
        same("cyclonus", &gavel, &answers, words)?;
        let mut in_process = self.row("CheckFlow, in process", "cyclonus v0.5.6", gavel.len(), 100.0);
        for _ in 0..self.peers.rounds {
            in_process.peer_micros.push(cyclonus.micros("decoded", self.peers.window)?);
            in_process.gavel_micros.push(micros(self.peers.window, requests.len(), |index| {
                let _ = black_box(decide(index));
            }));
        }
        drop(cyclonus);

        let opa = self.opa("flows", &flows.for_opa()?).await?;
        let one = opa::questions(&flows.flows)?;
        let answers = opa.verdicts("/v1/data/flows/allow", &one).await?;
        same("OPA", &gavel, &answers, words)?;
        let many = opa::questions(flows.flows.chunks_exact(BATCH).map(|flows| json!({"flows": flows})))?;
        ensure!(!many.is_empty(), "at least {BATCH} questions are needed");
        let answers = opa.verdicts("/v1/data/flows/many", &many).await?;
        same("OPA, many at once", &gavel[..many.len() * BATCH], &answers, words)?;

        let served = self.server().await?;
        let single: Questions = flows.flows.iter().map(Flow::request).collect();
        let brief = Arc::new(single.batched(BATCH, AnswerDetail::Verdict));
        let batched = Arc::new(single.batched(BATCH, AnswerDetail::Full));
        let single = Arc::new(single);
        let mut unary = self.row("CheckFlow, a question a call", opa::NAME, gavel.len(), 20.0);
        let row_of_many = |what: &str| {
            self.row(&format!("CheckFlow, {BATCH} a call{what}"), opa::NAME, answers.len(), 20.0)
        };
        let (mut batch, mut verdicts) = (row_of_many(""), row_of_many(", verdicts alone"));
        for round in 0..self.peers.rounds {
            unary.peer_micros.push(opa.micros("/v1/data/flows/allow", &one, self.peers.window).await?);
            unary.gavel_micros.push(ask(&served, &single, 1, 16, self.peers.window).await?);
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            let of_many = opa.micros("/v1/data/flows/many", &many, self.peers.window).await? / BATCH as f64;
            batch.peer_micros.push(of_many);
            verdicts.peer_micros.push(of_many);
            batch.gavel_micros.push(ask(&served, &batched, BATCH, 4, self.peers.window).await?);
            verdicts.gavel_micros.push(ask(&served, &brief, BATCH, 4, self.peers.window).await?);
            told(&format!("flows: round {} of {}", round + 1, self.peers.rounds));
        }
        served.stop().await?;
        Ok(vec![in_process, unary, batch, verdicts])
    }

    /// A comparison that has not begun, of answers that were all the same.
    pub(super) fn row(&self, what: &str, peer: &str, answers: usize, wanted: f64) -> Row {
        Row {
            what: what.to_owned(),
            peer: peer.to_owned(),
            same: answers,
            answers,
            gavel_micros: Vec::new(),
            peer_micros: Vec::new(),
            wanted,
        }
    }

    /// Gavel's server of the manifests.
    pub(super) async fn server(&self) -> anyhow::Result<Served> {
        let loadtest = std::env::current_exe()?;
        let programs =
            Programs { server: self.peers.server.clone(), loadtest, folder: self.folder.to_owned() };
        programs.manifests(None, self.manifests).await
    }
}

/// Asks Gavel's server for a while, so many at a time, and tells its CPU time a question, in microseconds.
///
/// # Errors
/// When it does not answer.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(super) async fn ask(
    served: &Served,
    questions: &Arc<Questions>,
    each: usize,
    workers: usize,
    window: Duration,
) -> anyhow::Result<f64> {
    let target = served.target(false).await?;
    let before = served.cpu()?;
    let load = Load { pace: Pace::Closed { workers }, duration: window };
    let results = target.ask_all(questions, load).await;
    ensure!(results.failed() == 0 && results.answered() > 0, "gavel-server: {results}");
    let spent = served.cpu()?.saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e6 / (results.answered() * each as u64) as f64)
}
