//! One YAML document, as Kubernetes' tools read it.
//!
//! Those translate YAML 1.1 to JSON with Go's yaml.v2: `yes`, `no`, `on` and `off` are booleans, `0644` is octal, and
//! the float `80.0` becomes the number `80`. On one point this reads YAML 1.2: the letters `y` and `n` stay strings.
//! Most writers of YAML leave them without quotes, as a name or as a label's value; kubectl refuses such a name.

use serde_json::Value;

use super::documents::bare;
use super::split::Document;
use super::value::Strict;

/// How deep YAML may nest: each level costs stack, of which the threads that read have 2 MiB. (JSON has a limit of its
/// own.) The deepest of what is in use, schemas of custom resources, stay below 40.
const MAX_DEPTH: usize = 64;
/// How much the aliases of one document may stand for, in nodes.
const MAX_ALIASED_NODES: usize = 1_000_000;
/// Nodes of one document; about what a file of the greatest size can hold of ordinary manifests.
const MAX_NODES: usize = 16_000_000;

/// The document's value; or what is wrong, with the line of the file where that is known.
pub(super) fn read(document: &Document<'_>) -> Result<Value, (String, Option<usize>)> {
    let mut value = read_with(document, true)?;
    if has_old_booleans(&value) {
        // Which of them have quotes shows where they are read as booleans.
        old_booleans(&mut value, &read_with(document, false)?);
    }
    whole_numbers(&mut value);
    Ok(value)
}

fn read_with(document: &Document<'_>, strict_booleans: bool) -> Result<Value, (String, Option<usize>)> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 3 * MAX_NODES,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED_NODES },
        legacy_octal_numbers: true,
        strict_booleans: strict_booleans,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Strict>(document.text, options).map(|Strict(value)| value).map_err(
        |error| {
            let line = error.location().and_then(|location| usize::try_from(location.line()).ok());
            let line = line.filter(|line| *line > 0).map(|line| document.first_line + line - 1);
            (bare(&error.without_snippet().to_string()), line)
        },
    )
}

/// The booleans that only YAML 1.1 has, in the spellings that yaml.v2 knows.
fn is_old_boolean(text: &str) -> bool {
    matches!(text, "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "on" | "On" | "ON" | "off" | "Off" | "OFF")
}

fn has_old_booleans(value: &Value) -> bool {
    match value {
        Value::String(text) => is_old_boolean(text),
        Value::Array(list) => list.iter().any(has_old_booleans),
        Value::Object(object) => object.values().any(has_old_booleans),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Takes over from `old`, the same document read with the booleans of YAML 1.1, those that yaml.v2 has too.
fn old_booleans(value: &mut Value, old: &Value) {
    match (value, old) {
        (Value::Array(list), Value::Array(old)) => {
            list.iter_mut().zip(old).for_each(|(value, old)| old_booleans(value, old));
        }
        (Value::Object(object), Value::Object(old)) => {
            for (key, value) in object {
                if let Some(old) = old.get(key) {
                    old_booleans(value, old);
                }
            }
        }
        (value, Value::Bool(old)) if value.as_str().is_some_and(is_old_boolean) => *value = Value::Bool(*old),
        _ => {}
    }
}

/// Makes whole numbers of those that were written with a point or an exponent.
///
/// Kubernetes' tools translate YAML to JSON, where Go writes the float 80 (`80.0`, `8e1`) as `80`.
pub(super) fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|_| number.is_f64()).and_then(whole) {
                *number = whole.into();
            }
        }
        Value::Array(list) => list.iter_mut().for_each(whole_numbers),
        Value::Object(object) => object.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn whole(float: f64) -> Option<i64> {
    // Beyond 2^53 floats skip whole numbers: what was written is lost already.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within what an i64 holds")]
    (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64)
}
