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

use std::fmt::{self, Display, Write as _};

use super::{Violation, ViolationKind};
use crate::text::{Joined, Quoted, join};

/// What one policy objects to.
///
/// Most policies that object are never heard: another one admits the pod. So what is said about an objection is written
/// when it is collected, and not before.
#[derive(Debug)]
pub(super) struct Violations<'p> {
    /// Who objects, where violations are collected; else it is only noted that there are some.
    policy: Option<&'p str>,
    found: Vec<Violation>,
    objects: bool,
}

impl<'p> Violations<'p> {
    /// Collects what the policy of this name objects to.
    pub(super) fn of(policy: &'p str) -> Self {
        Self { policy: Some(policy), found: Vec::new(), objects: false }
    }

    /// Notes whether there are any.
    pub(super) fn any() -> Self {
        Self { policy: None, found: Vec::new(), objects: false }
    }

    /// Whether nothing that could still be found would matter.
    pub(super) fn is_settled(&self) -> bool {
        self.objects && self.policy.is_none()
    }

    /// Whether there are any.
    pub(super) fn objects(&self) -> bool {
        self.objects
    }

    pub(super) fn into_found(self) -> Vec<Violation> {
        self.found
    }

    /// `field.Invalid`: `FIELD: Invalid value: VALUE: DETAIL`. `value` as Go prints it.
    fn invalid(&mut self, at: At<'_>, value: impl Display, detail: impl Display, help: impl Display) {
        self.push(at, ViolationKind::Invalid, Some(&value), &detail, &help);
    }

    /// `field.Required`: `FIELD: Required value: DETAIL`.
    fn required(&mut self, at: At<'_>, detail: &str, help: impl Display) {
        self.push(at, ViolationKind::Required, None, &detail, &help);
    }

    /// `field.Forbidden`: `FIELD: Forbidden: DETAIL`.
    fn forbidden(&mut self, at: At<'_>, detail: impl Display, help: impl Display) {
        self.push(at, ViolationKind::Forbidden, None, &detail, &help);
    }

    fn push(
        &mut self,
        at: At<'_>,
        kind: ViolationKind,
        value: Option<&dyn Display>,
        detail: &dyn Display,
        help: &dyn Display,
    ) {
        self.objects = true;
        let Some(policy) = self.policy else { return };
        let At { control, field } = at;
        self.found.push(Violation {
            policy: policy.to_owned(),
            control,
            field: written(&field),
            kind,
            value: value.map(written),
            detail: written(detail),
            help: written(help),
        });
    }
}

/// Into memory that is asked for once: most of what is written is shorter than this.
fn written(text: &dyn Display) -> String {
    let mut written = String::with_capacity(64);
    // Writing to a String cannot fail.
    let _ = write!(written, "{text}");
    written
}

/// Which control objects, and to which field.
#[derive(Clone, Copy)]
struct At<'f> {
    control: &'static str,
    field: std::fmt::Arguments<'f>,
}

/// Go's `%#v` of a slice of strings with a named element type; `None` is a nil slice.
struct GoStrings<'s>(&'static str, Option<&'s [&'s str]>);

impl Display for GoStrings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(items) = self.1 else { return write!(f, "[]{}(nil)", self.0) };
        write!(f, "[]{}{{", self.0)?;
        join(f, items, ", ", |f, item| Quoted(item).fmt(f))?;
        f.write_str("}")
    }
}

/// Go's `%#v` of an `[]int64`; `None` is a nil slice.
struct GoIntegers<'s>(Option<&'s [i64]>);

impl Display for GoIntegers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(items) = self.0 else { return f.write_str("[]int64(nil)") };
        write!(f, "[]int64{{{}}}", Joined(items, ", "))
    }
}

/// What Kubernetes prints for a pointer that is nil: the word, quoted.
const NIL: &str = "\"null\"";
