use serde_json::{Value, json};

use super::spec;

/// Every schema below `schema`, with the path to it.
fn walk(schema: &Value, path: &str, see: &mut dyn FnMut(&str, &Value)) {
    see(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), see);
    }
    if schema.get("items").is_some() {
        walk(&schema["items"], &format!("{path}[]"), see);
    }
}

/// `apiextensions.k8s.io/v1` refuses the rest, or gives it another meaning.
#[test]
fn the_schema_is_structural() {
    const KEYWORDS: [&str; 14] = [
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minLength",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
    ];
    let mut seen = 0;
    walk(&spec(), "spec", &mut |path, schema| {
        seen += 1;
        assert!(schema["type"].is_string(), "{path}: {}", schema["type"]);
        for keyword in schema.as_object().unwrap().keys() {
            assert!(
                KEYWORDS.contains(&keyword.as_str()) || keyword == "x-kubernetes-validations",
                "{path} has {keyword}"
            );
        }
        for required in schema["required"].as_array().into_iter().flatten() {
            assert!(
                schema["properties"].get(required.as_str().unwrap()).is_some(),
                "{path} lacks {required}"
            );
        }
        assert_eq!(schema["type"] == "object", schema["properties"].is_object(), "{path}");
        assert!(path.ends_with("[]") || schema["description"].is_string(), "{path} is not described");
    });
    assert!(seen > 60, "{seen}");
}

#[test]
fn only_what_kubernetes_fills_in_has_a_default() {
    let mut defaults = Vec::new();
    walk(&spec(), "spec", &mut |path, schema| {
        if let Some(default) = schema.get("default") {
            defaults.push(format!("{path}={default}"));
        }
    });
    let expected = ["allowPrivilegeEscalation=true", "privileged=false", "readOnlyRootFilesystem=false"];
    assert_eq!(defaults, expected.map(|default| format!("spec.{default}")));
}

#[test]
fn bounds_and_formats() {
    let spec = spec();
    let properties = &spec["properties"];
    assert_eq!(spec["required"], json!(["seLinux", "runAsUser", "supplementalGroups", "fsGroup"]));
    let port = &properties["hostPorts"]["items"]["properties"]["max"];
    assert_eq!(
        (&port["format"], &port["minimum"], &port["maximum"]),
        (&json!("int32"), &json!(0), &json!(65535))
    );
    let id = &properties["fsGroup"]["properties"]["ranges"]["items"]["properties"]["min"];
    assert_eq!((&id["format"], &id["minimum"], &id["maximum"]), (&json!("int64"), &json!(0), &Value::Null));
    assert_eq!(properties["runAsUser"]["properties"]["rule"]["enum"], json!(super::USER_RULES));
}
