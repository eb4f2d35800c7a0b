//! What is scraped keeps to the conventions: <https://prometheus.io/docs/practices/naming/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{FLOWS, Server, flow, get};

/// A metric, as its lines tell.
#[derive(Debug, Default)]
struct Family {
    help: Option<String>,
    kind: Option<String>,
    unit: Option<String>,
    /// Names and labels of its samples.
    samples: Vec<(String, String)>,
}

/// What a name may end in, for each kind of a metric; the first is the name itself.
const ENDINGS: [(&str, &[&str]); 4] = [
    ("counter", &["_total"]),
    ("gauge", &[""]),
    ("histogram", &["_bucket", "_count", "_sum"]),
    ("info", &["_info"]),
];

/// The families of a scrape, none of which is there twice.
fn families(scraped: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in scraped.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            assert!(name.starts_with(&current), "{line} follows the head of {current}");
            let sample = (name.to_owned(), labels.trim_end_matches('}').to_owned());
            families.get_mut(&current).unwrap().samples.push(sample);
            continue;
        };
        if comment == "EOF" {
            break;
        }
        let mut words = comment.splitn(3, ' ');
        let [what, name, rest] = std::array::from_fn(|_| words.next().unwrap_or_default().to_owned());
        if name != current {
            assert!(!families.contains_key(&name), "{name} is there twice");
            current.clone_from(&name);
        }
        let family = families.entry(name).or_default();
        let field = match what.as_str() {
            "HELP" => &mut family.help,
            "TYPE" => &mut family.kind,
            "UNIT" => &mut family.unit,
            _ => panic!("{line}"),
        };
        assert_eq!(field.replace(rest), None, "{line} is there twice");
    }
    families
}

/// What is wrong with a family's name.
fn wrong(name: &str, family: &Family) -> Option<String> {
    let kind = family.kind.as_deref()?;
    let (_, endings) = ENDINGS.into_iter().find(|(known, _)| *known == kind)?;
    let is_good = |sample: &str| endings.iter().any(|ending| sample == format!("{name}{ending}"));
    if let Some((sample, _)) = family.samples.iter().find(|(sample, _)| !is_good(sample)) {
        return Some(format!("{sample} of a {kind}"));
    }
    if !["gavel_", "process_", "tokio_"].iter().any(|prefix| name.starts_with(prefix)) {
        return Some("whose it is does not show".to_owned());
    }
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
        return Some("not in snake case".to_owned());
    }
    if let Some(unit) = family.unit.as_deref().filter(|unit| !name.ends_with(&format!("_{unit}"))) {
        return Some(format!("its unit, {unit}, is not in its name"));
    }
    let words: Vec<&str> = name.split('_').collect();
    let scaled = ["milliseconds", "microseconds", "nanoseconds", "ms", "us", "minutes", "hours", "kilobytes"];
    let scaled = scaled.into_iter().chain(["kb", "mb", "mib", "percent", "total"]);
    if let Some(unit) = scaled.into_iter().find(|unit| words.contains(unit)) {
        return Some(format!("{unit} does not belong into its name"));
    }
    let takes_time = ["duration", "age", "staleness", "timestamp", "expiry"];
    let is_in_seconds = words.last() == Some(&"seconds");
    (takes_time.iter().any(|word| words.contains(word)) && !is_in_seconds)
        .then(|| "a time is in seconds".to_owned())
}

#[tokio::test]
async fn names_kinds_and_units_are_as_usual() {
    let server = Server::start(&[("flows.yaml", FLOWS)]).await;
    let mut client = server.client().await;
    client.check_flow(flow("friend", "web", 80)).await.unwrap();
    client.check_flow(flow("nobody", "web", 80)).await.unwrap_err();
    let (_, scraped) = get(server.running.admin, "/metrics").await;
    assert!(scraped.ends_with("# EOF\n"), "{scraped}");
    let families = families(&scraped);
    assert!(families.len() > 20, "{families:?}");
    for (name, family) in &families {
        assert!(family.help.as_ref().is_some_and(|help| help.len() > 5), "{name} is not explained");
        assert!(family.kind.is_some(), "{name} is of no kind");
        assert_eq!(wrong(name, family), None, "{name}: {family:?}");
        let series: BTreeSet<_> = family.samples.iter().collect();
        assert_eq!(series.len(), family.samples.len(), "{name} has a series twice");
        // A pod, a namespace, a policy or a caller would be without end.
        for label in family.samples.iter().flat_map(|(_, labels)| labels.split("\",")) {
            let label = label.split('=').next().unwrap();
            let closed =
                ["", "call", "code", "kind", "le", "policy_kind", "reason", "result", "rpc", "source"];
            assert!(closed.contains(&label) || ["verdict", "version"].contains(&label), "{name}: {label}");
        }
    }
    // Microseconds are told apart.
    let bounds = families["gavel_decision_duration_seconds"].samples.iter().filter_map(|(_, labels)| {
        let (_, rest) = labels.split_once("le=\"")?;
        rest.split('"').next()?.parse::<f64>().ok()
    });
    assert!(bounds.filter(|bound| (1e-6..1e-5).contains(bound)).count() > 3, "{scraped}");
    server.stop().await;
}

#[test]
fn what_is_not_as_usual() {
    for (scraped, told) in [
        ("# HELP gavel_x x.\n# TYPE gavel_x counter\ngavel_x 1\n", "gavel_x of a counter"),
        ("# HELP gavel_time_ms x.\n# TYPE gavel_time_ms gauge\ngavel_time_ms 1\n", "ms does not belong"),
        ("# HELP gavel_age x.\n# TYPE gavel_age gauge\ngavel_age 1\n", "a time is in seconds"),
        ("# HELP x x.\n# TYPE x gauge\nx 1\n", "whose it is"),
        ("# HELP gavel_x x.\n# TYPE gavel_x gauge\n# UNIT gavel_x seconds\ngavel_x 1\n", "its unit, seconds"),
    ] {
        let families = families(scraped);
        let (name, family) = families.first_key_value().unwrap();
        let wrong = wrong(name, family).unwrap_or_default();
        assert!(wrong.contains(told), "{wrong}");
    }
}
