//! Matching of label selectors.
//!
//! Rules from `k8s.io/apimachinery/pkg/labels`, `Requirement.Matches`: `NotIn` also matches objects without the label.

use crate::object::{LabelSelector, Labels, Operator, Requirement};

/// Whether `selector` matches `labels`. An empty selector matches everything.
pub fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(|requirement| meets(requirement, labels))
}

fn meets(requirement: &Requirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    match requirement.operator {
        Operator::In => value.is_some_and(|value| requirement.values.contains(value)),
        Operator::NotIn => value.is_none_or(|value| !requirement.values.contains(value)),
        Operator::Exists => value.is_some(),
        Operator::DoesNotExist => value.is_none(),
    }
}
