//! The Helm chart, as far as no Helm is needed: its CRD is the shipped one, each value is documented and has a schema, and
//! each alert has its section in the runbook. `deploy/e2e/run chart` has Helm render it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(deploy(path)).unwrap()
}

fn document(path: &str) -> Value {
    let text = read(path);
    let mut documents = gavel_source::manifests::documents(text.as_bytes(), path).into_iter();
    let document = documents.next().unwrap().unwrap().item;
    assert!(documents.next().is_none(), "{path} has more than one document");
    document
}

#[test]
fn its_crd_is_the_shipped_one() {
    let name = "crds/podsecuritypolicies.policy.gavel.dev.yaml";
    assert_eq!(read(&format!("helm/gavel/{name}")), read(name));
}

/// A value with its comment `# -- …`, in the order of the file.
#[derive(Debug)]
struct Documented {
    path: Vec<String>,
    meaning: String,
}

/// Keys of `values.yaml` with their comments. What is below a documented key belongs to its default.
fn documented(text: &str) -> Vec<Documented> {
    let (mut found, mut above, mut comment) = (Vec::new(), Vec::<(usize, String)>::new(), None::<String>);
    let mut inside: Option<usize> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if line.is_empty() {
            comment = None;
            continue;
        }
        if inside.is_some_and(|documented| indent > documented) {
            continue;
        }
        inside = None;
        if let Some(begun) = line.strip_prefix("# -- ") {
            comment = Some(begun.to_owned());
        } else if let Some(more) = line.strip_prefix("# ") {
            if let Some(comment) = &mut comment {
                comment.push(' ');
                comment.push_str(more);
            }
        } else {
            assert!(line.contains(':'), "no key: {line}");
            let key = line.split(':').next().unwrap().to_owned();
            above.retain(|(of, _)| *of < indent);
            above.push((indent, key));
            match comment.take() {
                Some(meaning) => {
                    let path = above.iter().map(|(_, key)| key.clone()).collect();
                    found.push(Documented { path, meaning });
                    inside = Some(indent);
                }
                None => assert!(line.ends_with(':'), "a value without `# -- `: {line}"),
            }
        }
    }
    found
}

fn table() -> String {
    let values = document("helm/gavel/values.yaml");
    let mut table = "| value | default | meaning |\n|---|---|---|\n".to_owned();
    for Documented { path, meaning } in documented(&read("helm/gavel/values.yaml")) {
        let default = path.iter().fold(&values, |value, key| &value[key]);
        // A bar would end the cell.
        let meaning = meaning.replace('|', "\\|");
        writeln!(table, "| `{}` | `{default}` | {meaning} |", path.join(".")).unwrap();
    }
    table
}

/// `GAVEL_WRITE_GOLDEN=1 cargo test -p gavel-cli` writes it anew.
#[test]
fn the_readme_has_every_value() {
    let readme = read("helm/gavel/README.md");
    let (before, rest) = readme.split_once("| value | default |").unwrap();
    let after = rest.split_once("\n\n").map(|(_, after)| format!("\n{after}")).unwrap_or_default();
    let wanted = format!("{before}{}{after}", table());
    if std::env::var_os("GAVEL_WRITE_GOLDEN").is_some() {
        std::fs::write(deploy("helm/gavel/README.md"), &wanted).unwrap();
    } else {
        assert_eq!(readme, wanted);
    }
}

/// Objects of the schema have the keys of the values, and take no others.
fn compare(path: &str, schema: &Value, value: &Value, checked: &mut usize) {
    let Some(properties) = schema["properties"].as_object() else { return };
    assert_eq!(schema["additionalProperties"], false, "{path} takes whatever is misspelt");
    assert!(value.is_object(), "{path} is no object in values.yaml");
    let value = value.as_object().unwrap();
    if value.is_empty() {
        return;
    }
    // Only a parent chart says this.
    let known: BTreeSet<&String> = properties.keys().filter(|key| *key != "global").collect();
    assert_eq!(known, value.keys().collect(), "{path}");
    for (key, schema) in properties.iter().filter(|(key, _)| known.contains(key)) {
        *checked += 1;
        compare(&format!("{path}.{key}"), schema, &value[key], checked);
    }
}

#[test]
fn the_schema_knows_every_value() {
    let schema: Value = serde_json::from_str(&read("helm/gavel/values.schema.json")).unwrap();
    let values = document("helm/gavel/values.yaml");
    let mut checked = 0;
    compare("values", &schema, &values, &mut checked);
    assert!(checked > 80, "{checked}");
}

#[test]
fn every_alert_has_its_section_in_the_runbook() {
    const RUNBOOK: &str = "https://github.com/gavel-pdp/gavel/blob/main/deploy/observability/RUNBOOK.md";
    let runbook = read("observability/RUNBOOK.md");
    let sections: BTreeSet<String> =
        runbook.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    let mut alerts = BTreeSet::new();
    for (file, tests, tried) in [
        ("helm/gavel/files/rules.yaml", "observability/rules_test.yaml", "alertname=\"NAME\""),
        ("observability/node-rules.yaml", "observability/node-rules_test.yaml", "alertname: NAME\n"),
    ] {
        let (rules, tests) = (document(file), read(tests));
        let groups = rules["groups"].as_array().unwrap().iter();
        for rule in groups.flat_map(|group| group["rules"].as_array().unwrap()) {
            let name = rule["alert"].as_str().unwrap();
            alerts.insert(name.to_owned());
            let url = format!("{RUNBOOK}#{}", name.to_lowercase());
            assert_eq!(rule["annotations"]["runbook_url"], url, "{name}");
            assert!(rule["annotations"]["summary"].is_string(), "{name}");
            assert!(
                ["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()),
                "{name}"
            );
            assert!(tests.contains(&tried.replace("NAME", name)), "{name} is not tried");
        }
    }
    assert_eq!(alerts, sections);
}
