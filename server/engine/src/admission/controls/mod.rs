//! The controls of PodSecurityPolicy, one aspect a file: the fields it looks at, what it fills in, what it objects to.
//!
//! Ported from `pkg/security/podsecuritypolicy` of Kubernetes v1.24, messages to the letter.

pub(super) mod app_armor;
pub(super) mod capabilities;
pub(super) mod groups;
pub(super) mod host;
pub(super) mod privileges;
pub(super) mod runtime_class;
pub(super) mod se_linux;
pub(super) mod seccomp;
pub(super) mod sysctls;
pub(super) mod user;
pub(super) mod volumes;

pub(super) use app_armor::AppArmor;
pub(super) use seccomp::Seccomp;
pub(super) use user::UserRule;

use std::fmt::Display;

use super::{Violation, ViolationKind};
use crate::text::quote;

/// Collects what one policy objects to.
#[derive(Debug)]
pub(super) struct Violations<'p> {
    policy: &'p str,
    found: Vec<Violation>,
}

impl<'p> Violations<'p> {
    pub(super) fn of(policy: &'p str) -> Self {
        Self { policy, found: Vec::new() }
    }

    pub(super) fn into_found(self) -> Vec<Violation> {
        self.found
    }

    /// `field.Invalid`: `FIELD: Invalid value: VALUE: DETAIL`. `value` as Go prints it.
    fn invalid(
        &mut self,
        at: At<'_>,
        value: impl Display,
        detail: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(at, ViolationKind::Invalid, Some(value.to_string()), detail.into(), help.into());
    }

    /// `field.Required`: `FIELD: Required value: DETAIL`.
    fn required(&mut self, at: At<'_>, detail: &str, help: impl Into<String>) {
        self.push(at, ViolationKind::Required, None, detail.to_owned(), help.into());
    }

    /// `field.Forbidden`: `FIELD: Forbidden: DETAIL`.
    fn forbidden(&mut self, at: At<'_>, detail: impl Into<String>, help: impl Into<String>) {
        self.push(at, ViolationKind::Forbidden, None, detail.into(), help.into());
    }

    fn push(&mut self, at: At<'_>, kind: ViolationKind, value: Option<String>, detail: String, help: String) {
        let At { control, field } = at;
        self.found.push(Violation {
            policy: self.policy.to_owned(),
            control,
            field: field.to_string(),
            kind,
            value,
            detail,
            help,
        });
    }
}

/// Which control objects, and to which field.
#[derive(Clone, Copy)]
struct At<'f> {
    control: &'static str,
    field: std::fmt::Arguments<'f>,
}

/// Go's `%#v` of a slice of strings with a named element type; `None` is a nil slice.
fn go_strings<'s>(type_name: &str, items: Option<impl IntoIterator<Item = &'s str>>) -> String {
    match items {
        None => format!("[]{type_name}(nil)"),
        Some(items) => {
            let items: Vec<String> = items.into_iter().map(quote).collect();
            format!("[]{type_name}{{{}}}", items.join(", "))
        }
    }
}

/// Go's `%#v` of an `[]int64`; `None` is a nil slice.
fn go_integers(items: Option<&[i64]>) -> String {
    match items {
        None => "[]int64(nil)".to_owned(),
        Some(items) => {
            let items: Vec<String> = items.iter().map(i64::to_string).collect();
            format!("[]int64{{{}}}", items.join(", "))
        }
    }
}

/// What Kubernetes prints for a pointer that is nil: the word, quoted.
const NIL: &str = "\"null\"";
