//! The schema of Gavel's own PodSecurityPolicy, held against every policy of the cases: it takes what Kubernetes'
//! validation takes. As far as JSON Schema goes; its rules in CEL are for an API server to tell.

use std::collections::BTreeMap;
use std::path::Path;

use gavel_conformance::cases;
use gavel_engine::object::decode::decode;
use gavel_engine::object::pod_security_policy::schema;
use gavel_engine::object::validate::findings;
use regex::Regex;
use serde_json::{Value, json};

/// Checks values against structural schemas, keyword by keyword: one that it does not know is a fault.
#[derive(Default)]
struct Checker {
    patterns: BTreeMap<String, Regex>,
    faults: Vec<String>,
}

impl Checker {
    fn faults(&mut self, schema: &Value, value: &Value) -> Vec<String> {
        self.check(schema, value, "spec");
        std::mem::take(&mut self.faults)
    }

    fn check(&mut self, schema: &Value, value: &Value, path: &str) {
        for (keyword, wanted) in schema.as_object().unwrap() {
            let is_good = match keyword.as_str() {
                "description" | "default" | "items" | "properties" | "x-kubernetes-validations" => true,
                "type" => match wanted.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64(),
                    _ => false,
                },
                "format" => match wanted.as_str().unwrap() {
                    "int32" => value.as_i64().is_none_or(|number| i32::try_from(number).is_ok()),
                    "int64" => true,
                    _ => false,
                },
                "enum" => wanted.as_array().unwrap().contains(value),
                "minimum" => value.as_i64() >= wanted.as_i64(),
                "maximum" => value.as_i64() <= wanted.as_i64(),
                "minLength" => length(value) >= wanted.as_u64(),
                "maxLength" => length(value) <= wanted.as_u64(),
                "maxItems" => {
                    value.as_array().is_none_or(|list| list.len() as u64 <= wanted.as_u64().unwrap())
                }
                "pattern" => {
                    self.pattern(wanted.as_str().unwrap()).is_match(value.as_str().unwrap_or_default())
                }
                "required" => wanted
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|field| value.get(field.as_str().unwrap()).is_some()),
                _ => false,
            };
            if !is_good {
                self.faults.push(format!("{path}: {keyword} {wanted}: {value}"));
            }
        }
        for (field, value) in value.as_object().into_iter().flatten() {
            match schema["properties"].get(field) {
                // An API server drops it before it looks.
                _ if value.is_null() => {}
                Some(schema) => self.check(schema, value, &format!("{path}.{field}")),
                None => self.faults.push(format!("{path}.{field}: unknown")),
            }
        }
        for (index, value) in value.as_array().into_iter().flatten().enumerate() {
            self.check(&schema["items"], value, &format!("{path}[{index}]"));
        }
    }

    fn pattern(&mut self, pattern: &str) -> &Regex {
        self.patterns.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).unwrap())
    }
}

fn length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

#[test]
fn the_schema_takes_what_kubernetes_takes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/psp.jsonl.gz");
    let schema = schema::spec();
    let mut checker = Checker::default();
    let (mut taken, mut refused) = (0, 0);
    for case in cases::read(&path).unwrap() {
        for object in case.objects.iter().filter(|object| object["kind"] == "PodSecurityPolicy") {
            let faults = checker.faults(&schema, &object["spec"]);
            let read = decode(object);
            if read.is_ok_and(|object| findings(&object.unwrap()).refused.is_empty()) {
                taken += 1;
                assert!(faults.is_empty(), "{}: {faults:?}", case.id);
            } else {
                refused += 1;
                assert!(!faults.is_empty(), "{}: taken: {}", case.id, object["spec"]);
            }
        }
    }
    assert!(taken > 3000 && refused > 0, "{taken} taken, {refused} refused");
}

/// A checker that cannot fail proves nothing.
#[test]
fn the_schema_refuses() {
    let any = json!({ "rule": "RunAsAny" });
    let good = json!({ "seLinux": any, "runAsUser": any, "supplementalGroups": any, "fsGroup": any });
    let schema = schema::spec();
    let mut checker = Checker::default();
    assert_eq!(checker.faults(&schema, &good), [""; 0]);
    for (field, bad) in [
        ("seLinux", json!({})),
        ("seLinux", json!({ "rule": "MayRunAs" })),
        ("privileged", json!("true")),
        ("privilegd", json!(true)),
        ("volumes", json!(["floppy"])),
        ("hostPorts", json!([{ "min": 0, "max": 65536 }])),
        ("hostPorts", json!([{ "min": 0 }])),
        ("fsGroup", json!({ "rule": "MustRunAs", "ranges": [{ "min": -1, "max": 1 }] })),
        ("allowedHostPaths", json!([{ "pathPrefix": "" }])),
        ("allowedFlexVolumes", json!([{}])),
        ("allowedCSIDrivers", json!([{ "name": "a_b" }])),
        ("allowedCSIDrivers", json!([{ "name": "x".repeat(64) }])),
        ("allowedUnsafeSysctls", json!(["a..b"])),
        ("forbiddenSysctls", json!(["**"])),
        ("allowedProcMountTypes", json!(["default"])),
        ("runtimeClass", json!({ "allowedRuntimeClassNames": ["A"] })),
        ("requiredDropCapabilities", json!(vec!["A"; 257])),
    ] {
        let mut spec = good.clone();
        spec[field] = bad.clone();
        assert_eq!(checker.faults(&schema, &spec).len(), 1, "{field}: {bad}");
    }
}
