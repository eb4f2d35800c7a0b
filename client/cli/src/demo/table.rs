//! Rows for people: a question, the decision, the deciding policy, and the reasons below each other.

use crate::render::style;

/// Width of the column of questions.
const QUESTION: usize = 48;
/// Width of the column of policies.
const POLICY: usize = 20;

/// A table; its head is printed before its first row.
#[derive(Debug, Default)]
pub(super) struct Table {
    has_head: bool,
}

impl Table {
    pub(super) fn row(
        &mut self,
        question: &str,
        allowed: bool,
        as_told: bool,
        policy: &str,
        reasons: &[String],
    ) {
        if !self.has_head {
            self.has_head = true;
            anstream::println!(
                "  {:QUESTION$} {:8} {:POLICY$} {}",
                "question",
                "decision",
                "policy",
                "reason"
            );
        }
        let word = if allowed { "allowed" } else { "denied" };
        // Padded before it is painted: colours have no width.
        let word = format!("{word:8}");
        let word = if allowed { style::good(&word) } else { style::error(&word) };
        let mark = if as_told { ' ' } else { '!' };
        let policy = if policy.is_empty() { "-" } else { policy };
        for (index, reason) in reasons.iter().enumerate() {
            if index == 0 {
                anstream::println!("{mark} {question:QUESTION$} {word} {policy:POLICY$} {reason}");
            } else {
                anstream::println!("  {:QUESTION$} {:8} {:POLICY$} {reason}", "", "", "");
            }
        }
    }
}
