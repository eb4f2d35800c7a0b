//! The flow log: what was let pass or dropped, and why.
//!
//! It never holds a packet up. A record goes into a queue that is bounded; what finds no room is dropped, and counted. The
//! sentence that says why a server denied a flow is asked for here, and not by whoever decides.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};
use foldhash::fast::RandomState;
use gavel_client::Client;
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use crate::flow::Flow;
use crate::metrics::{By, Metrics, Refused};

/// Records that may wait.
const WAITING: usize = 8192;
/// Reasons that are remembered, and for how long: many packets are refused for the same one.
const REASONS: usize = 1024;
const REMEMBER: Duration = Duration::from_secs(1);
/// How long asking for a reason may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// A file becomes so large, and so many of those before it are kept.
const FILE_BYTES: usize = 64 << 20;
const FILES: usize = 3;

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Nothing.
    Off,
    /// What was dropped.
    Denied,
    /// Whatever was decided.
    All,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    at: SystemTime,
    /// None where it cannot be told.
    flow: Option<Flow>,
    allowed: bool,
    why: Why,
}

#[derive(Clone, Copy, Debug)]
enum Why {
    Decided(By),
    Refused(Refused),
}

impl Record {
    pub(crate) fn decided(flow: Flow, allowed: bool, by: By) -> Self {
        Self { at: SystemTime::now(), flow: Some(flow), allowed, why: Why::Decided(by) }
    }

    pub(crate) fn refused(flow: Option<Flow>, why: Refused) -> Self {
        Self { at: SystemTime::now(), flow, allowed: false, why: Why::Refused(why) }
    }
}

/// A line of the log.
#[derive(Debug, Serialize)]
struct Line<'a> {
    /// Seconds since 1970.
    time: f64,
    verdict: &'static str,
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<std::net::IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<std::net::IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    reason: &'a str,
}

/// The flow log, to be written to. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct FlowLog {
    mode: Mode,
    records: mpsc::Sender<Record>,
    metrics: Arc<Metrics>,
}

impl FlowLog {
    /// A log, and what is to be written of it: see [`run`].
    pub(crate) fn new(mode: Mode, metrics: Arc<Metrics>) -> (Self, mpsc::Receiver<Record>) {
        let (records, receiver) = mpsc::channel(WAITING);
        (Self { mode, records, metrics }, receiver)
    }

    /// Logs what happened, if such things are logged.
    pub(crate) fn write(&self, record: impl FnOnce() -> Record) {
        if self.mode == Mode::Off {
            return;
        }
        let record = record();
        if (self.mode == Mode::All || !record.allowed) && self.records.try_send(record).is_err() {
            self.metrics.log_dropped();
        }
    }
}

/// Where lines go.
pub(crate) type Sink = Box<dyn Write + Send>;

/// Opens standard output, or a file that is rotated.
///
/// # Errors
/// When it cannot be written to.
pub(crate) fn open(path: Option<&PathBuf>) -> anyhow::Result<Sink> {
    let Some(path) = path else { return Ok(Box::new(std::io::stdout())) };
    let mut options = std::fs::OpenOptions::new();
    options.read(true).create(true).append(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // Told now and not by the first line, nor by a panic: FileRotate knows no other way.
    options.open(path).with_context(|| format!("--flow-log-to {}: cannot be written", path.display()))?;
    let limit = ContentLimit::BytesSurpassed(FILE_BYTES);
    Ok(Box::new(FileRotate::new(path, AppendCount::new(FILES), limit, Compression::None, Some(options))))
}

/// Writes records until there will be no more.
pub(crate) async fn run(
    mut records: mpsc::Receiver<Record>,
    mut sink: Sink,
    client: watch::Receiver<Option<Client>>,
) {
    let mut reasons = Reasons { client, known: HashMap::default() };
    let mut has_failed = false;
    while let Some(record) = records.recv().await {
        let reason = reasons.of(&record).await;
        let (by, flow) = match record.why {
            Why::Decided(by) => (by.as_str(), record.flow),
            Why::Refused(why) => (why.as_str(), record.flow),
        };
        let line = Line {
            time: record.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            verdict: if record.allowed { "allow" } else { "deny" },
            by,
            source: flow.map(|flow| flow.source),
            destination: flow.map(|flow| flow.destination),
            protocol: flow.map(|flow| flow.protocol.as_str()),
            port: flow.map(|flow| flow.port),
            reason: &reason,
        };
        let written = serde_json::to_vec(&line).map_err(std::io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            sink.write_all(&line)?;
            sink.flush()
        });
        // Told once, and not for each line.
        let failed = written.is_err();
        if let Err(error) = written
            && !has_failed
        {
            tracing::error!(%error, "the flow log cannot be written");
        }
        has_failed = failed;
    }
}

/// Why flows were denied, in the server's words.
struct Reasons {
    client: watch::Receiver<Option<Client>>,
    known: HashMap<Flow, (String, std::time::Instant), RandomState>,
}

impl Reasons {
    async fn of(&mut self, record: &Record) -> String {
        let by = match record.why {
            Why::Refused(why) => return words(why).to_owned(),
            Why::Decided(by) => by,
        };
        let fixed = match by {
            By::Setting => "no server answered in time: --on-unavailable",
            By::Hold => "the server does not know the pod yet",
            // Who reaches what is seen in full; why is asked of those few that do not.
            By::Server | By::Cache if record.allowed => "no policy denies it",
            By::Server | By::Cache => "",
        };
        let Some(flow) = record.flow.filter(|_| fixed.is_empty()) else { return fixed.to_owned() };
        if let Some((reason, at)) = self.known.get(&flow)
            && at.elapsed() < REMEMBER
        {
            return reason.clone();
        }
        let client = self.client.borrow().clone();
        let Some(client) = client else { return "denied by policies".to_owned() };
        let reason = match client.with_deadline(PATIENCE).check_flow(flow.to_question()).await {
            // Policies may have changed between the packet and this question.
            Ok(answer) if answer.verdict() == gavel_client::v1::Verdict::Allow => {
                format!("denied by policies that have changed since; now {}", answer.reason)
            }
            Ok(answer) => answer.reason,
            Err(error) => format!("denied by policies; which, cannot be told: {error}"),
        };
        if self.known.len() >= REASONS {
            self.known.clear();
        }
        self.known.insert(flow, (reason.clone(), std::time::Instant::now()));
        reason
    }
}

fn words(why: Refused) -> &'static str {
    match why {
        Refused::Spoofed => "it came by an interface where its source is not",
        Refused::Invalid => "it belongs to no connection, and begins none",
        Refused::NotIp => "it is neither IPv4 nor IPv6",
        Refused::Fragment => "it is a fragment, and ports are not in each of these",
        Refused::Truncated => "it ends before its ports",
        Refused::Protocol => "policies do not speak of its protocol: --other-protocols",
        Refused::PortZero => "it is to port 0",
        Refused::SourceRoute => {
            "its header names further stops, so that its destination is not where it ends"
        }
    }
}
