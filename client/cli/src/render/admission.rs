//! Admissions.

use std::fmt::Write as _;

use gavel_client::v1 as pb;
use serde_json::Value;

use super::style;

/// What became of a pod.
pub(crate) fn text(what: &str, answer: &pb::AdmitResponse) -> String {
    let mut text = Text(String::new());
    if answer.allowed {
        text.admitted(what, answer);
    } else {
        text.refused(what, answer);
    }
    if let Some(ledger) = &answer.ledger {
        text.ledger(ledger);
        if !answer.decision_id.is_empty() {
            text.line(format_args!("  {}: {}", style::help("decision"), answer.decision_id));
        }
    }
    for warning in &answer.warnings {
        text.line(format_args!("  {}: {warning}", style::warning("warning")));
    }
    text.0
}

/// What a patch changes, a line a field: `spec.containers[0].securityContext.runAsNonRoot: true`. The parents that it
/// makes on its way are left out.
pub(crate) fn changes(patch: &[u8]) -> Vec<String> {
    let operations: Vec<Value> = serde_json::from_slice(patch).unwrap_or_default();
    operations
        .iter()
        .filter_map(|operation| {
            let path = operation.get("path")?.as_str()?;
            let value = operation.get("value")?;
            let is_parent = value.as_object().is_some_and(serde_json::Map::is_empty);
            (!is_parent).then(|| format!("{}: {value}", field(path)))
        })
        .collect()
}

/// A JSON Pointer in Kubernetes' notation.
fn field(pointer: &str) -> String {
    let mut field = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.parse::<usize>().is_ok() || part.contains('/') || part.contains('.') {
            let _ = write!(field, "[{part}]");
        } else {
            let _ = write!(field, "{}{part}", if field.is_empty() { "" } else { "." });
        }
    }
    field
}

struct Text(String);

impl Text {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn admitted(&mut self, what: &str, answer: &pb::AdmitResponse) {
        let word = style::good("admitted");
        if answer.policy.is_empty() {
            self.line(format_args!("{word}: {what}: no policy looks at this request"));
            return;
        }
        self.line(format_args!("{word}: {what}: by PodSecurityPolicy {}", style::strong(&answer.policy)));
        for change in changes(&answer.patch) {
            self.line(format_args!("  + {change}"));
        }
    }

    fn refused(&mut self, what: &str, answer: &pb::AdmitResponse) {
        let phase = match answer.decided_in() {
            pb::Phase::Mutate => "mutate",
            _ => "validate",
        };
        self.line(format_args!("{}: {what}: refused in the {phase} phase", style::error("error")));
        self.line(format_args!("  {}", answer.message));
        self.violations(&answer.violations);
        self.violations(&answer.unmet);
    }

    /// Violations, gathered by policy.
    fn violations(&mut self, violations: &[pb::Violation]) {
        let mut policy = "";
        for violation in violations {
            if violation.policy != policy {
                policy = &violation.policy;
                self.line(format_args!("  --> PodSecurityPolicy {}", style::strong(policy)));
            }
            let pb::Violation { field, kind, value, detail, help, .. } = violation;
            self.line(format_args!("   |  {}", style::strong(field)));
            let parts: Vec<&str> =
                [kind.as_str(), value, detail].into_iter().filter(|part| !part.is_empty()).collect();
            self.line(format_args!("   |    {}", parts.join(": ")));
            if !help.is_empty() {
                self.line(format_args!("   |    {}: {help}", style::help("help")));
            }
        }
    }

    fn ledger(&mut self, ledger: &pb::Ledger) {
        self.line(format_args!("  {}: {}", style::help("why"), ledger.why));
        for entry in &ledger.entries {
            let chosen = if entry.chosen { " (chosen)" } else { "" };
            let outcome = match entry.outcome() {
                pb::PolicyOutcome::Admits => "admits the pod as it is".to_owned(),
                pb::PolicyOutcome::AdmitsWithChanges => "admits the pod with changes".to_owned(),
                pb::PolicyOutcome::Refuses => "refuses the pod".to_owned(),
                pb::PolicyOutcome::Unusable => format!("is skipped: {}", entry.detail),
                pb::PolicyOutcome::Unspecified => "is of no known outcome".to_owned(),
            };
            self.line(format_args!("  - {}: {outcome}{chosen}", style::strong(&entry.policy)));
            match &entry.grant {
                Some(grant) if grant.granted => {
                    let pb::Grant { through, binding_kind, binding, role_kind, role, subject, .. } = grant;
                    self.line(format_args!(
                        "      usable by the {through}: {binding_kind} {binding} of {role_kind} {role} to {subject}"
                    ));
                }
                _ => self.line(format_args!("      not usable: nothing grants `use` of it")),
            }
            for violation in &entry.violations {
                self.line(format_args!("      ! {}", violation.message));
            }
            for change in changes(&entry.patch) {
                self.line(format_args!("      + {change}"));
            }
        }
    }
}
