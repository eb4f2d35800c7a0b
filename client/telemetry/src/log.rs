//! Logs on standard error, with the ids of the trace where there is one.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, dynamic_filter_fn};
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::layer::{Context as Layered, Filter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::Error;

/// What is logged.
pub(crate) fn filter(directives: &str) -> Result<EnvFilter, Error> {
    // What kube has to say of failed requests is told by whoever made them.
    let quiet = if directives.contains("kube_client") { "" } else { ",kube_client=off" };
    EnvFilter::try_new(format!("{directives}{quiet}"))
        .map_err(|error| Error::Filter { filter: directives.to_owned(), why: error.to_string() })
}

/// How often the exporters may complain: each batch that a collector does not take is a complaint of theirs.
const SELDOM: Duration = Duration::from_secs(60);

/// Passes everything, but of the exporters one line of a level now and then.
fn seldom<S: Subscriber>() -> impl Filter<S> {
    let told: Mutex<BTreeMap<Level, Instant>> = Mutex::default();
    dynamic_filter_fn(move |metadata: &Metadata<'_>, _: &Layered<'_, S>| {
        // Spans, and whether there could be an event, are asked about likewise.
        if !metadata.is_event() || !metadata.target().starts_with("opentelemetry") {
            return true;
        }
        let Ok(mut told) = told.lock() else { return true };
        let now = Instant::now();
        let is_due = told.get(metadata.level()).is_none_or(|at| now.duration_since(*at) >= SELDOM);
        if is_due {
            told.insert(*metadata.level(), now);
        }
        is_due
    })
}

/// Sets up logs for this process.
pub(crate) fn init(directives: &str, json: bool) -> Result<(), Error> {
    let filter = filter(directives)?;
    let logs = if json {
        let format = format::Format::default().json();
        layer().json().event_format(WithIds { format, json }).with_writer(std::io::stderr).boxed()
    } else {
        let ansi = std::io::stderr().is_terminal();
        let format = format::Format::default().with_ansi(ansi);
        layer().event_format(WithIds { format, json }).with_ansi(ansi).with_writer(std::io::stderr).boxed()
    };
    tracing_subscriber::registry().with(logs.with_filter(filter.and(seldom()))).try_init()?;
    Ok(())
}

/// Adds the ids of the current trace to a line.
struct WithIds<F> {
    format: F,
    json: bool,
}

impl<S, N, F> FormatEvent<S, N> for WithIds<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let current = Context::current();
        let span = current.span();
        let ids = span.span_context();
        if !ids.is_valid() {
            return self.format.format_event(context, writer, event);
        }
        let mut line = String::new();
        // Without colours, which a writer of our own cannot be told to take.
        self.format.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&with_ids(line.trim_end(), self.json, &ids.trace_id(), &ids.span_id()))
    }
}

/// The line, an object of JSON or a text, with two fields more.
fn with_ids(line: &str, json: bool, trace: &impl fmt::Display, span: &impl fmt::Display) -> String {
    match line.strip_suffix('}').filter(|_| json) {
        Some(open) => format!("{open},\"trace_id\":\"{trace}\",\"span_id\":\"{span}\"}}\n"),
        None => format!("{line} trace_id={trace} span_id={span}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_ids() {
        let json = with_ids(r#"{"level":"INFO","fields":{"message":"hello}"}}"#, true, &"aa", &"bb");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&read["trace_id"], &read["fields"]["message"]), (&"aa".into(), &"hello}".into()));
        assert!(json.ends_with("}\n"), "{json}");
        assert_eq!(with_ids("INFO hello}", false, &"aa", &"bb"), "INFO hello} trace_id=aa span_id=bb\n");
    }
}
