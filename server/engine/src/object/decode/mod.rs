//! From JSON to [`Object`]: which kinds are read, from which API groups, and what is wrong with those that cannot be.
//!
//! | kinds | groups |
//! |---|---|
//! | Namespace, Pod, ServiceAccount, ReplicationController | `v1` |
//! | Deployment, DaemonSet, ReplicaSet | `apps/*`, `extensions/*` |
//! | StatefulSet | `apps/*` |
//! | Job, CronJob | `batch/*` |
//! | NetworkPolicy | `networking.k8s.io/v1` |
//! | PodSecurityPolicy | `policy/v1beta1`, `extensions/v1beta1`, `policy.gavel.dev/v1` |
//! | Role, ClusterRole, RoleBinding, ClusterRoleBinding | `rbac.authorization.k8s.io/{v1,v1beta1,v1alpha1}` |
//!
//! Of a kind that is read, another version or another group of Kubernetes itself is an error, as nobody would notice
//! a policy that is not there. Without an `apiVersion`, `v1` is meant where the kind is one of the core group's, as in
//! the items of a list that somebody took apart. A group of somebody else's (Calico has a NetworkPolicy, OpenShift a Role) is another
//! kind, and not read.
//!
//! `null` is absent, as everywhere in Kubernetes. In the kinds that decide, unknown fields are errors: a misspelt
//! field would change what the policy means. Elsewhere they are nobody's business.

mod groups;
mod input;
mod network_policy;
mod pod;
mod ports;
mod rbac;

use serde::Deserialize;
use serde_json::Value;

use self::input::Input;
use super::meta::{nullable, nullable_object};
use super::pod_security_policy::PodSecurityPolicySpec;
use super::validate::{self, Errors};
use super::{Binding, Kind, Object, ObjectMeta, PodSecurityPolicy, Role, ServiceAccount};
use crate::field::FieldError;

pub use groups::{Reads, reads};

/// Namespace of objects that name none.
const DEFAULT_NAMESPACE: &str = "default";

/// Reads one object; `None`: of a kind that takes no part in decisions.
///
/// # Errors
/// With everything that is wrong with the object.
pub fn decode(value: &Value) -> Result<Option<Object>, Vec<FieldError>> {
    decode_from(value)
}

/// [`decode`], straight from JSON: quicker than by way of a [`Value`].
///
/// # Errors
/// As [`decode`]; text that is not one JSON value is an error of the object as a whole.
pub fn decode_slice(json: &[u8]) -> Result<Option<Object>, Vec<FieldError>> {
    decode_from(json)
}

/// [`decode_slice`] of an object that is known to be of this kind and version, and need not say so: the items of a list
/// do not.
///
/// # Errors
/// As [`decode_slice`].
pub fn decode_as(kind: Kind, version: &str, json: &[u8]) -> Result<Object, Vec<FieldError>> {
    let Header { api_version: _, kind: _, metadata } = json.read()?;
    decode_known(json, kind, version, metadata)
}

/// What every object has.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Header {
    #[serde(deserialize_with = "nullable")]
    api_version: String,
    #[serde(deserialize_with = "nullable")]
    kind: String,
    #[serde(deserialize_with = "nullable_object")]
    metadata: Names,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Names {
    #[serde(deserialize_with = "nullable")]
    name: String,
    #[serde(deserialize_with = "nullable")]
    generate_name: String,
    #[serde(deserialize_with = "nullable")]
    namespace: String,
}

/// Of a kind of which only metadata matters.
#[derive(Default, Deserialize)]
#[serde(default)]
struct MetaOnly {
    #[serde(deserialize_with = "nullable_object")]
    metadata: ObjectMeta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WrittenServiceAccount {
    #[serde(deserialize_with = "nullable_object")]
    metadata: ObjectMeta,
    automount_service_account_token: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WrittenPodSecurityPolicy {
    #[serde(deserialize_with = "nullable_object")]
    metadata: ObjectMeta,
    #[serde(deserialize_with = "nullable_object")]
    spec: PodSecurityPolicySpec,
}

fn decode_from<'de>(input: impl Input<'de>) -> Result<Option<Object>, Vec<FieldError>> {
    let header: Header = input.read()?;
    let mut errors = Errors::default();
    if header.kind.is_empty() {
        errors.push("kind", "is required");
    }
    if header.api_version.is_empty() && !groups::is_core(&header.kind) {
        errors.push("apiVersion", "is required");
    }
    if !errors.is_empty() {
        return Err(errors.into_vec());
    }
    let (kind, version) = match groups::reads(&header.api_version, &header.kind) {
        Reads::Kind(kind, version) => (kind, version),
        Reads::OtherKind => return Ok(None),
        Reads::OtherVersion(message) => return Err(vec![FieldError::new("apiVersion", message)]),
    };
    decode_known(input, kind, version, header.metadata).map(Some)
}

fn decode_known<'de>(
    input: impl Input<'de>,
    kind: Kind,
    version: &str,
    written: Names,
) -> Result<Object, Vec<FieldError>> {
    let mut errors = Errors::default();
    let (namespace, name) = names(kind, written, &mut errors);
    let read = Read { input, kind, version, namespace, name, errors: &mut errors };
    match read.object() {
        Some(object) if errors.is_empty() => Ok(object),
        _ => Err(errors.into_vec()),
    }
}

/// Namespace and name that the object goes by.
fn names(kind: Kind, written: Names, errors: &mut Errors) -> (String, String) {
    let name =
        if kind == Kind::Pod && written.name.is_empty() { written.generate_name } else { written.name };
    if name.is_empty() {
        errors.push("metadata.name", "is required");
    }
    let namespace = match (kind.is_namespaced(), written.namespace.is_empty()) {
        (false, _) => String::new(),
        (true, true) => DEFAULT_NAMESPACE.to_owned(),
        (true, false) => written.namespace,
    };
    (namespace, name)
}

/// An object of a known kind, about to be read.
struct Read<'a, I> {
    input: I,
    kind: Kind,
    version: &'a str,
    namespace: String,
    name: String,
    errors: &'a mut Errors,
}

impl<'de, I: Input<'de>> Read<'_, I> {
    /// The object; `None` only along with an error.
    fn object(mut self) -> Option<Object> {
        Some(match self.kind {
            Kind::Namespace => {
                let written: MetaOnly = self.lenient()?;
                Object::Namespace(self.named(written.metadata))
            }
            Kind::ServiceAccount => {
                let written: WrittenServiceAccount = self.lenient()?;
                Object::ServiceAccount(ServiceAccount {
                    automount_token: written.automount_service_account_token,
                    metadata: self.named(written.metadata),
                })
            }
            Kind::Pod => {
                let written = self.lenient()?;
                Object::Pod(pod::read(self.namespace, self.name, written, self.errors))
            }
            Kind::Deployment
            | Kind::ReplicaSet
            | Kind::StatefulSet
            | Kind::DaemonSet
            | Kind::Job
            | Kind::ReplicationController => {
                let written = self.lenient()?;
                Object::Workload(pod::read_workload(
                    self.kind,
                    self.namespace,
                    self.name,
                    written,
                    self.errors,
                ))
            }
            Kind::CronJob => {
                let written = pod::job_of(self.lenient()?);
                Object::Workload(pod::read_workload(
                    self.kind,
                    self.namespace,
                    self.name,
                    written,
                    self.errors,
                ))
            }
            Kind::NetworkPolicy => {
                let written: network_policy::Written = self.strict()?;
                let metadata = self.named(written.metadata);
                Object::NetworkPolicy(network_policy::read(metadata, written.spec, self.errors))
            }
            Kind::PodSecurityPolicy => {
                let written: WrittenPodSecurityPolicy = self.strict()?;
                let metadata = self.named(written.metadata);
                let ObjectMeta { name, annotations, .. } = metadata;
                Object::PodSecurityPolicy(Box::new(PodSecurityPolicy {
                    name,
                    annotations,
                    spec: written.spec,
                }))
            }
            Kind::Role => Object::Role(self.role()?),
            Kind::ClusterRole => Object::ClusterRole(self.role()?),
            Kind::RoleBinding => Object::RoleBinding(self.binding()?),
            Kind::ClusterRoleBinding => Object::ClusterRoleBinding(self.binding()?),
        })
    }

    fn role(&mut self) -> Option<Role> {
        let role: Role = self.strict()?;
        let metadata = self.named(role.metadata);
        match &role.aggregation_rule {
            Some(_) if self.kind == Kind::Role => {
                self.errors.push("", "unknown field \"aggregationRule\": only a ClusterRole has it");
            }
            Some(rule) => validate::rbac::selectors(rule, self.errors),
            None => {}
        }
        Some(Role { metadata, ..role })
    }

    fn binding(&mut self) -> Option<Binding> {
        let binding = if self.version == "v1alpha1" {
            rbac::from_v1alpha1(self.strict()?)
        } else {
            rbac::with_defaults(self.strict()?)
        };
        let metadata = self.named(binding.metadata);
        Some(Binding { metadata, ..binding })
    }

    fn lenient<T: Deserialize<'de>>(&mut self) -> Option<T> {
        self.noted(self.input.read())
    }

    fn strict<T: Deserialize<'de>>(&mut self) -> Option<T> {
        self.noted(self.input.read_strict())
    }

    fn noted<T>(&mut self, result: Result<T, Vec<FieldError>>) -> Option<T> {
        result.map_err(|found| self.errors.extend(found)).ok()
    }

    /// With the namespace and name the object goes by.
    fn named(&self, metadata: ObjectMeta) -> ObjectMeta {
        ObjectMeta { namespace: self.namespace.clone(), name: self.name.clone(), ..metadata }
    }
}

#[cfg(test)]
mod tests;
