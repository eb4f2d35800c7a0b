//! The policies of a snapshot.

use std::sync::Arc;

use super::policy::{CompiledPolicy, build};
use super::request::{AdmitRequest, InvalidRequest};
use super::{Decision, select};
use crate::object::{Change, Kind, Object};
use crate::rbac;
use crate::snapshot::Diagnostic;

/// The policies of a snapshot, compiled, in the order of their names by bytes. Persistent: a clone shares everything.
#[derive(Clone, Debug, Default)]
pub struct Index {
    policies: imbl::OrdMap<Arc<str>, Arc<CompiledPolicy>>,
    /// Those that cannot be built, and why: apart, so that the others need not be searched for them on each request.
    unusable: imbl::OrdMap<Arc<str>, Arc<str>>,
}

impl Index {
    /// Folds one change in; changes of other kinds are ignored. Policies that cannot be built are told of.
    pub(crate) fn apply(&mut self, change: &Change) -> Vec<Diagnostic> {
        match change {
            Change::Upsert(object @ Object::PodSecurityPolicy(policy)) => {
                let name: Arc<str> = policy.name.as_str().into();
                match build(policy) {
                    Ok(compiled) => {
                        self.unusable.remove(&name);
                        self.policies.insert(name, Arc::new(compiled));
                        Vec::new()
                    }
                    Err(error) => {
                        let message = format!("{error}: the policy is skipped, as Kubernetes skips it");
                        self.policies.remove(&name);
                        self.unusable.insert(name, error.into());
                        vec![Diagnostic { object: object.key(), field: "spec".to_owned(), message }]
                    }
                }
            }
            Change::Remove(key) if key.kind == Kind::PodSecurityPolicy => {
                self.policies.remove(&key.name);
                self.unusable.remove(&key.name);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Decides one request.
    ///
    /// # Errors
    /// When the object is not JSON, or not a pod: see [`InvalidRequest`].
    pub fn admit(&self, rbac: &rbac::Index, request: AdmitRequest<'_>) -> Result<Decision, InvalidRequest> {
        select::admit(self, rbac, request)
    }

    /// The policies that can be asked, by name.
    pub(super) fn policies(&self) -> &imbl::OrdMap<Arc<str>, Arc<CompiledPolicy>> {
        &self.policies
    }

    /// The policies that cannot be built, by name, and why.
    pub(super) fn unusable(&self) -> &imbl::OrdMap<Arc<str>, Arc<str>> {
        &self.unusable
    }
}
