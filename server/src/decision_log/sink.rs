//! Where records go.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};
use gavel_telemetry::{Ended, Records, Sender};
use opentelemetry::logs::{AnyValue, LogRecord as _, Severity};
use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use serde_json::{Map, Value};

use super::record::Record;

/// Where records are to go.
#[derive(Debug)]
pub(crate) enum Target {
    /// Standard output.
    Stdout,
    /// A file, which is rotated.
    File {
        /// It; those before have `.1`, `.2`, … after their name.
        path: PathBuf,
        /// How large it becomes.
        max_bytes: u64,
        /// How many of those before are kept.
        keep: usize,
    },
    /// An OTLP receiver.
    Otlp(Records),
}

/// Where records go.
pub(super) enum Sink {
    /// A JSON object a line.
    Lines(Box<dyn Write + Send>),
    Otlp(Sender),
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sink::Lines(_) => "Lines",
            Sink::Otlp(_) => "Otlp",
        })
    }
}

impl Target {
    pub(super) fn open(self) -> anyhow::Result<Sink> {
        Ok(match self {
            Target::Stdout => Sink::Lines(Box::new(io::BufWriter::new(io::stdout()))),
            Target::Otlp(records) => Sink::Otlp(records.sender("gavel.decisions")),
            Target::File { path, max_bytes, keep } => {
                let limit = ContentLimit::BytesSurpassed(usize::try_from(max_bytes).unwrap_or(usize::MAX));
                let mut options = std::fs::OpenOptions::new();
                options.read(true).create(true).append(true);
                // Decisions tell of policies: they are for whoever runs the server.
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                // Told now and not by the first decision, nor by a panic: FileRotate knows no other way.
                options
                    .open(&path)
                    .with_context(|| format!("--decision-log-to {}: cannot be written", path.display()))?;
                let suffix = AppendCount::new(keep);
                Sink::Lines(Box::new(FileRotate::new(path, suffix, limit, Compression::None, Some(options))))
            }
        })
    }
}

impl Sink {
    /// Writes a record, and tells whether that is all; else [`Sink::ended`] tells what became of it.
    pub(super) fn write(&mut self, record: &Record, object: &Map<String, Value>) -> io::Result<bool> {
        match self {
            Sink::Lines(lines) => {
                let mut line = serde_json::to_vec(object)?;
                line.push(b'\n');
                lines.write_all(&line)?;
                Ok(true)
            }
            Sink::Otlp(sender) => {
                let mut sent = sender.record();
                sent.set_timestamp(record.at);
                sent.set_event_name("gavel.decision");
                sent.set_severity_number(Severity::Info);
                sent.add_attribute("decision_id", record.id.clone());
                if let Some((trace, span)) = &record.trace
                    && let (Ok(trace), Ok(span)) = (TraceId::from_hex(trace), SpanId::from_hex(span))
                {
                    sent.set_trace_context(trace, span, Some(TraceFlags::SAMPLED));
                }
                sent.set_body(AnyValue::from(serde_json::to_string(object)?));
                sender.send(sent);
                Ok(false)
            }
        }
    }

    /// What became of records that were on their way.
    pub(super) fn ended(&self) -> Ended {
        match self {
            Sink::Lines(_) => Ended::default(),
            Sink::Otlp(sender) => sender.ended(),
        }
    }

    /// Whether there are records on their way.
    pub(super) fn has_waiting(&self) -> bool {
        matches!(self, Sink::Otlp(sender) if sender.has_waiting())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Lines(lines) => lines.flush(),
            // Sent in batches, at the end of the process at the latest.
            Sink::Otlp(_) => Ok(()),
        }
    }
}
