//! What can be called.

use std::fmt;
use std::str::FromStr;

/// What can be called, and needs a right. Health needs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// `PolicyDecision/Admit`.
    Admit,
    /// `PolicyDecision/CheckFlow`.
    CheckFlow,
    /// `PolicyDecision/Authorize`.
    Authorize,
    /// `PolicyDecision/GetSnapshot`.
    GetSnapshot,
    /// `PolicyDecision/WatchSnapshot`.
    WatchSnapshot,
    /// `PolicyDecision/WatchNodePods`.
    WatchNodePods,
    /// Server reflection.
    Reflection,
}

impl Call {
    /// The API group of [`Call::attributes`].
    pub const API_GROUP: &'static str = "gavel.dev";

    /// Each of them.
    pub const ALL: [Self; 7] = [
        Call::Admit,
        Call::CheckFlow,
        Call::Authorize,
        Call::GetSnapshot,
        Call::WatchSnapshot,
        Call::WatchNodePods,
        Call::Reflection,
    ];

    /// Its name, as in `--grant`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Call::Admit => "Admit",
            Call::CheckFlow => "CheckFlow",
            Call::Authorize => "Authorize",
            Call::GetSnapshot => "GetSnapshot",
            Call::WatchSnapshot => "WatchSnapshot",
            Call::WatchNodePods => "WatchNodePods",
            Call::Reflection => "Reflection",
        }
    }

    /// Verb and resource that RBAC has to grant, in [`Call::API_GROUP`] and cluster-wide.
    pub const fn attributes(self) -> (&'static str, &'static str) {
        match self {
            Call::Admit => ("create", "admitrequests"),
            Call::CheckFlow => ("create", "flowchecks"),
            Call::Authorize => ("create", "accessreviews"),
            Call::GetSnapshot => ("get", "snapshots"),
            Call::WatchSnapshot => ("watch", "snapshots"),
            Call::WatchNodePods => ("watch", "nodepods"),
            Call::Reflection => ("get", "reflections"),
        }
    }

    /// A bit of its own, among [`Call::ALL`].
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u64
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Call {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Call::ALL.into_iter().find(|call| call.as_str() == name).ok_or_else(|| {
            let all: Vec<_> = Call::ALL.into_iter().map(Call::as_str).collect();
            format!("there is no call {name:?}: say one of {}, or *", all.join(", "))
        })
    }
}
