//! Matching of label selectors.
//!
//! Rules from `k8s.io/apimachinery/pkg/labels`, `Requirement.Matches`: `NotIn` also matches objects without the label.

use crate::object::{LabelSelector, Labels, Operator, Requirement};

/// Whether `selector` matches `labels`. An empty selector matches everything.
pub fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    matches_by(selector, |key| labels.get(key).map(String::as_bytes))
}

/// [`matches()`], for labels of any form: `value` tells the value of a label.
pub(crate) fn matches_by<'l>(selector: &LabelSelector, value: impl Fn(&str) -> Option<&'l [u8]>) -> bool {
    selector.match_labels.iter().all(|(key, wanted)| value(key) == Some(wanted.as_bytes()))
        && selector.match_expressions.iter().all(|requirement| meets(requirement, value(&requirement.key)))
}

fn meets(requirement: &Requirement, value: Option<&[u8]>) -> bool {
    let listed = |value: &[u8]| requirement.values.iter().any(|listed| listed.as_bytes() == value);
    match requirement.operator {
        Operator::In => value.is_some_and(listed),
        Operator::NotIn => value.is_none_or(|value| !listed(value)),
        Operator::Exists => value.is_some(),
        Operator::DoesNotExist => value.is_none(),
    }
}
