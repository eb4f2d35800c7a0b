//! In what an answer differs from Kubernetes'.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cases::{Expected, ExpectedAdmission, ExpectedFlow};
use crate::question::{Admission, Answer};

/// Everything in which the answer differs; empty: it is right.
pub fn differences(expected: &Expected, answer: &Answer) -> Vec<String> {
    match (expected, answer) {
        (Expected::Admission(expected, object), Answer::Admit(answer)) => admission(expected, object, answer),
        (Expected::Flow(ExpectedFlow::Allowed(allowed)), Answer::CheckFlow(flow))
            if flow.allowed == *allowed =>
        {
            Vec::new()
        }
        (Expected::Flow(ExpectedFlow::Whole(expected)), Answer::CheckFlow(flow)) if flow == expected => {
            Vec::new()
        }
        (Expected::Authorization { allowed, reasons }, Answer::Authorize { allowed: is_allowed, reason })
            if allowed == is_allowed && reasons.contains(reason) =>
        {
            Vec::new()
        }
        _ => vec![format!("expected {expected:?}, not {answer:?}")],
    }
}

fn admission(expected: &ExpectedAdmission, object: &Value, answer: &Admission) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differs = |what: &str, expected: &dyn std::fmt::Debug, answer: &dyn std::fmt::Debug| {
        differences.push(format!("{what}: expected {expected:?}, not {answer:?}"));
    };
    if expected.allowed != answer.allowed {
        differs("allowed", &expected.allowed, &answer.allowed);
    }
    // Operations that the plugin does not even register for are ignored.
    let stage = if expected.stage == "unhandled" { "ignored" } else { expected.stage.as_str() };
    if answer.stage.is_some_and(|answered| answered != stage) {
        differs("stage", &stage, &answer.stage);
    }
    if expected.psp != answer.admit_policy {
        differs("psp", &expected.psp, &answer.admit_policy);
    }
    if expected.validate_psp != answer.validate_policy {
        differs("validatePsp", &expected.validate_psp, &answer.validate_policy);
    }
    if !same_message(expected, &answer.message) {
        differs("message", &expected.message, &answer.message);
    }
    if let Some(denials) = &answer.denials
        && *denials != expected.denials
    {
        differs("denials", &expected.denials, denials);
    }
    if answer.allowed && !object.is_null() {
        match (patched(object, &expected.patch), patched(object, &answer.patch)) {
            (Ok(expected), Ok(answer)) if expected == answer => {}
            (expected, answer) => differs("patched object", &expected, &answer),
        }
    }
    differences
}

/// The object with a patch applied; no patch changes nothing.
fn patched(object: &Value, patch: &Value) -> Result<Value, String> {
    let mut object = object.clone();
    if !patch.is_null() {
        let patch: json_patch::Patch =
            serde_json::from_value(patch.clone()).map_err(|error| error.to_string())?;
        json_patch::patch(&mut object, &patch).map_err(|error| error.to_string())?;
    }
    Ok(object)
}

/// Kubernetes joins the parts of several policies in no order: any is right.
fn same_message(expected: &ExpectedAdmission, message: &str) -> bool {
    if expected.message == message {
        return true;
    }
    let joined: Vec<&str> = expected.denials.values().map(String::as_str).collect();
    let Some((head, tail)) = expected.message.split_once(&joined.join(" ")) else { return false };
    let Some(body) = message.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail)) else {
        return false;
    };
    is_permutation(body, &expected.denials.clone())
}

fn is_permutation(text: &str, parts: &BTreeMap<String, String>) -> bool {
    if parts.is_empty() {
        return text.is_empty();
    }
    parts.iter().any(|(name, part)| {
        let Some(rest) = text.strip_prefix(part.as_str()) else { return false };
        let mut others = parts.clone();
        others.remove(name);
        let rest = if others.is_empty() { rest } else { rest.strip_prefix(' ').unwrap_or("\0") };
        is_permutation(rest, &others)
    })
}
