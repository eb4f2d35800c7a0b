//! Label selectors, taken apart for those who are to look things up instead of searching.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Value, json};

/// A requirement: operator, key, values.
type Requirement<'a> = (&'a str, &'a str, Vec<&'a str>);

fn requirements(selector: &Value) -> anyhow::Result<Vec<Requirement<'_>>> {
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let equal = equal.map(|(key, value)| ("In", key.as_str(), value.as_str().into_iter().collect()));
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten().map(|one| {
        let values = one["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let operator = one["operator"].as_str().context("a requirement without an operator")?;
        Ok((operator, one["key"].as_str().context("a requirement without a key")?, values))
    });
    equal.map(Ok).chain(expressions).collect()
}

/// Whether a selector matches labels; an empty one, and none at all, matches everything.
///
/// # Errors
/// When it has an operator that Kubernetes has not.
pub(super) fn matches(selector: &Value, labels: &BTreeMap<String, String>) -> anyhow::Result<bool> {
    for (operator, key, values) in requirements(selector)? {
        let value = labels.get(key).map(String::as_str);
        let is_one_of = value.is_some_and(|value| values.contains(&value));
        let holds = match operator {
            "In" => is_one_of,
            "NotIn" => !is_one_of,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => anyhow::bail!("no operator of selectors: {operator}"),
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A selector as the Rego policies of `peers/opa` have it.
///
/// # Errors
/// When it has an operator that Kubernetes has not.
pub(super) fn compile(selector: &Value) -> anyhow::Result<Value> {
    let mut compiled = json!({"equal": {}, "one_of": [], "none_of": [], "present": [], "absent": []});
    for (operator, key, values) in requirements(selector)? {
        if let ("In", [value]) = (operator, values.as_slice()) {
            compiled["equal"][key] = (*value).into();
            continue;
        }
        let set: serde_json::Map<String, Value> =
            values.iter().map(|value| ((*value).to_owned(), true.into())).collect();
        let (field, one) = match operator {
            "In" => ("one_of", json!({"key": key, "values": set})),
            "NotIn" => ("none_of", json!({"key": key, "values": set})),
            "Exists" => ("present", key.into()),
            "DoesNotExist" => ("absent", key.into()),
            _ => anyhow::bail!("no operator of selectors: {operator}"),
        };
        if let Some(all) = compiled[field].as_array_mut() {
            all.push(one);
        }
    }
    Ok(compiled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_of_every_operator() {
        let selector = json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["a", "b"]},
                {"key": "zone", "operator": "NotIn", "values": ["x"]},
                {"key": "there", "operator": "Exists"}, {"key": "gone", "operator": "DoesNotExist"},
            ],
        });
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let good = [("app", "web"), ("tier", "b"), ("there", "")];
        assert!(matches(&selector, &labels(&good)).unwrap());
        for (index, bad) in
            [("app", "other"), ("tier", "c"), ("zone", "x"), ("gone", "")].into_iter().enumerate()
        {
            let mut these = good.to_vec();
            these.push(bad);
            assert!(!matches(&selector, &labels(&these)).unwrap(), "{index}");
        }
        assert!(!matches(&selector, &labels(&good[..2])).unwrap());
        assert!(matches(&Value::Null, &labels(&[])).unwrap());
        assert_eq!(
            compile(&selector).unwrap(),
            json!({
                "equal": {"app": "web"}, "one_of": [{"key": "tier", "values": {"a": true, "b": true}}],
                "none_of": [{"key": "zone", "values": {"x": true}}], "present": ["there"], "absent": ["gone"],
            })
        );
        let unknown = json!({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]});
        assert!(matches(&unknown, &labels(&[])).is_err() && compile(&unknown).is_err());
    }
}
