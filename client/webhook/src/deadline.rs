//! How long an answer may take.
//!
//! An API server gives its webhooks `timeoutSeconds`, and says so in the query: `POST /validate?timeout=10s`, a duration
//! as Go writes it (`k8s.io/client-go/rest/request.go`, `Request.URL`; set by
//! `k8s.io/apiserver/pkg/admission/plugin/webhook/validating/dispatcher.go`).

use std::time::Duration;

/// What an API server gives when its configuration says nothing: the default of `timeoutSeconds`.
const DEFAULT: Duration = Duration::from_secs(10);
/// The most that `timeoutSeconds` may be.
const MOST: Duration = Duration::from_secs(30);
/// Kept back for the answer's way: a tenth, within these bounds.
const LEAST_MARGIN: Duration = Duration::from_millis(50);
const MOST_MARGIN: Duration = Duration::from_millis(500);

/// How long the server may take, from the query of a request.
///
/// # Errors
/// When `timeout` is there and is no duration.
pub(crate) fn budget(query: Option<&str>) -> Result<Duration, String> {
    let timeout = query
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key == "timeout").then_some(value));
    let timeout = match timeout {
        None => DEFAULT,
        Some(text) => parse(text).ok_or_else(|| {
            format!("timeout={text}: must be a duration greater than 0, as Go writes it: 10s, 1m30s, 500ms")
        })?,
    };
    let timeout = timeout.min(MOST);
    let margin = (timeout / 10).clamp(LEAST_MARGIN, MOST_MARGIN).min(timeout / 2);
    Ok(timeout - margin)
}

/// `time.ParseDuration` of Go, for durations greater than nothing. Both ways to write a micro sign may be
/// percent-encoded, and so are not taken: no API server has microseconds.
fn parse(text: &str) -> Option<Duration> {
    // A plus sign in a query is a space.
    let mut rest = text.strip_prefix("%2B").unwrap_or(text);
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest.get(..end)?.parse().ok()?;
        rest = rest.get(end..)?;
        let units = [("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
        let (unit, length) = units.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        seconds += number * length;
        rest = rest.get(unit.len()..)?;
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        let cases = [
            ("10s", Some(10_000)),
            ("1s", Some(1_000)),
            ("1m30s", Some(90_000)),
            ("500ms", Some(500)),
            ("1.5s", Some(1_500)),
            ("1h0m0s", Some(3_600_000)),
            ("1m0.25s", Some(60_250)),
            ("1000us", Some(1)),
            ("", None),
            ("0s", None),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("10 s", None),
            ("10d", None),
            ("99999999999999999999h", None),
        ];
        for (text, milliseconds) in cases {
            let parsed = parse(text).map(|duration| duration.as_millis());
            assert_eq!(parsed, milliseconds, "{text}");
        }
    }

    #[test]
    fn budgets() {
        let cases = [
            (None, 9_500),
            (Some(""), 9_500),
            (Some("other=1"), 9_500),
            (Some("timeout=10s"), 9_500),
            (Some("a=b&timeout=1s"), 900),
            (Some("timeout=100ms"), 50),
            (Some("timeout=40ms"), 20),
            (Some("timeout=1h"), 29_500),
        ];
        for (query, milliseconds) in cases {
            assert_eq!(budget(query), Ok(Duration::from_millis(milliseconds)), "{query:?}");
        }
        for query in ["timeout=", "timeout=10", "timeout=soon"] {
            assert!(budget(Some(query)).is_err_and(|text| text.contains("10s")), "{query}");
        }
    }
}
