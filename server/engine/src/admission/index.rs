//! The policies of a snapshot.

use std::sync::Arc;

use super::policy::{Built, build};
use super::request::{AdmitRequest, InvalidRequest};
use super::{Decision, select};
use crate::object::{Change, Kind, Object};
use crate::rbac;
use crate::snapshot::Diagnostic;

/// The policies of a snapshot, compiled, in the order of their names by bytes. Persistent: a clone shares everything.
#[derive(Clone, Debug, Default)]
pub struct Index {
    policies: imbl::OrdMap<Arc<str>, Built>,
}

impl Index {
    /// Folds one change in; changes of other kinds are ignored. Policies that cannot be built are told of.
    pub(crate) fn apply(&mut self, change: &Change) -> Vec<Diagnostic> {
        match change {
            Change::Upsert(object @ Object::PodSecurityPolicy(policy)) => {
                let built = build(policy).map(Arc::new).map_err(Arc::from);
                let unusable = built.as_ref().err().map(|error: &Arc<str>| Diagnostic {
                    object: object.key(),
                    field: "spec".to_owned(),
                    message: format!("{error}: the policy is skipped, as Kubernetes skips it"),
                });
                let diagnostics = unusable.into_iter().collect();
                self.policies.insert(policy.name.as_str().into(), built);
                diagnostics
            }
            Change::Remove(key) if key.kind == Kind::PodSecurityPolicy => {
                self.policies.remove(&key.name);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Decides one request.
    ///
    /// # Errors
    /// When the object is not JSON, or not a pod: see [`InvalidRequest`].
    pub fn admit(&self, rbac: &rbac::Index, request: &AdmitRequest<'_>) -> Result<Decision, InvalidRequest> {
        select::admit(self, rbac, request)
    }

    /// The policies by name.
    pub(super) fn policies(&self) -> &imbl::OrdMap<Arc<str>, Built> {
        &self.policies
    }
}
