//! Label selectors. From `k8s.io/apimachinery/pkg/apis/meta/v1/validation`, `ValidateLabelSelector`.

use std::fmt;

use super::{Errors, names};
use crate::object::{LabelSelector, Labels, Operator};

/// Looks at the selector at `path`. Unknown operators never come this far.
pub fn validate(selector: &LabelSelector, path: impl fmt::Display, errors: &mut Errors) {
    labels(&selector.match_labels, format_args!("{path}.matchLabels"), errors);
    for (index, requirement) in selector.match_expressions.iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        match requirement.operator {
            Operator::In | Operator::NotIn if requirement.values.is_empty() => {
                errors.push(
                    format_args!("{path}.values"),
                    "must be specified when `operator` is 'In' or 'NotIn'",
                );
            }
            Operator::Exists | Operator::DoesNotExist if !requirement.values.is_empty() => {
                errors.push(
                    format_args!("{path}.values"),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                );
            }
            _ => {}
        }
        if let Some(complaint) = names::qualified_name(&requirement.key) {
            errors.invalid(format_args!("{path}.key"), &requirement.key, complaint);
        }
    }
}

/// Looks at the labels at `path`: `ValidateLabels`.
pub fn labels(labels: &Labels, path: impl fmt::Display, errors: &mut Errors) {
    for (key, value) in labels {
        if let Some(complaint) = names::qualified_name(key) {
            errors.invalid(&path, key, complaint);
        }
        if let Some(complaint) = names::label_value(value) {
            errors.invalid(format_args!("{path}[{key}]"), value, complaint);
        }
    }
}
