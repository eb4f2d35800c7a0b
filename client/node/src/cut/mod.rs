//! Connections that policies allow no longer: the kernel is told to forget them, so that their next packet is a new
//! connection's, and asked about.

mod entries;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use foldhash::fast::RandomState;
use gavel_client::{Client, v1};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::firewall::run;
use crate::flow::Flow;
use crate::metrics::Metrics;
use crate::rules::Rules;
use entries::Entry;

/// When connections are looked through after a change: soon; and once more, as a worker may have let one of them pass anew
/// by an answer from before the change.
const SOON: Duration = Duration::from_millis(50);
const ONCE_MORE: Duration = Duration::from_secs(2);
/// How long it may take to ask about some of them.
const PATIENCE: Duration = Duration::from_secs(5);
/// Questions in one message: a server takes a thousand.
const TOGETHER: usize = 500;

/// What connections are held against.
#[derive(Clone, Debug, Default)]
pub(crate) struct Against {
    /// Whom to ask; none: nobody, and nothing is cut.
    pub(crate) client: Option<Client>,
    pub(crate) rules: Arc<Rules>,
}

/// Looks through the connections whenever something has changed, for ever.
pub(crate) async fn keep_cutting(mut changed: watch::Receiver<Against>, metrics: Arc<Metrics>) {
    while changed.changed().await.is_ok() {
        for wait in [SOON, ONCE_MORE] {
            sleep(wait).await;
            let against = changed.borrow_and_update().clone();
            match cut(&against).await {
                Ok(0) => {}
                Ok(connections) => {
                    metrics.cut(connections);
                    tracing::info!(connections, "connections were cut, as policies allow them no longer");
                }
                Err(error) => {
                    metrics.cut_failed();
                    tracing::warn!(error = format!("{error:#}"), "connections could not be looked through");
                }
            }
        }
    }
}

/// Cuts what is no longer allowed, and tells how many that were.
async fn cut(against: &Against) -> anyhow::Result<usize> {
    let Some(client) = &against.client else { return Ok(0) };
    let rules = &against.rules;
    if rules.to.is_empty() && rules.from.is_empty() {
        return Ok(0);
    }
    let mut flows: HashMap<Flow, Vec<Entry>, RandomState> = HashMap::default();
    for family in ["ipv4", "ipv6"] {
        let listed = run("conntrack", &["-L", "-f", family], "").await?;
        let entries = listed.lines().filter_map(entries::read);
        for entry in entries.filter(|entry| concerns(rules, &entry.flow)) {
            flows.entry(entry.flow).or_default().push(entry);
        }
    }
    let mut cut = 0;
    let all: Vec<Flow> = flows.keys().copied().collect();
    for some in all.chunks(TOGETHER) {
        for flow in denied(client, some).await? {
            for entry in flows.remove(&flow).unwrap_or_default() {
                let arguments = entry.deletion();
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                // It may have ended meanwhile.
                match run("conntrack", &arguments, "").await {
                    Ok(_) => cut += 1,
                    Err(error) => tracing::debug!(error = format!("{error:#}"), "a connection was not cut"),
                }
            }
        }
    }
    Ok(cut)
}

/// Whether a flow is one that new connections of are asked about.
fn concerns(rules: &Rules, flow: &Flow) -> bool {
    rules.from.contains(&flow.source) || rules.to.contains(&flow.destination)
}

async fn denied(client: &Client, flows: &[Flow]) -> anyhow::Result<Vec<Flow>> {
    let request = v1::BatchCheckFlowRequest {
        questions: flows.iter().map(|flow| flow.to_question()).collect(),
        detail: v1::AnswerDetail::Verdict.into(),
        consistency: None,
    };
    let answers = client.clone().with_deadline(PATIENCE).batch_check_flow(request).await;
    let results = answers.context("no server told which are allowed")?.results;
    anyhow::ensure!(results.len() == flows.len(), "the server did not answer all that it was asked");
    let is_denied = |result: &v1::CheckFlowResult| match &result.result {
        Some(v1::check_flow_result::Result::Answer(answer)) => answer.verdict() == v1::Verdict::Deny,
        // What cannot be told is not cut.
        Some(v1::check_flow_result::Result::Error(_)) | None => false,
    };
    Ok(flows.iter().zip(&results).filter(|(_, result)| is_denied(result)).map(|(flow, _)| *flow).collect())
}
