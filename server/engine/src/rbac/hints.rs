//! What comes nearest when somebody may use no PodSecurityPolicy: today's users of Kubernetes get `[]` and guess.

use super::index::{BindingKey, Index, service_account_namespace};
use super::use_grants::UseSet;
use super::{User, authorize, quote};
use crate::object::Binding;

/// At most so many hints: a cluster may have thousands of bindings that nearly fit.
const MOST: usize = 8;

/// Who was asked for, in vain.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'a> {
    /// Namespace of the pod.
    pub namespace: &'a str,
    /// The pod's service account; empty when it names none.
    pub service_account: &'a str,
    /// Who creates the pod.
    pub user: &'a User,
}

impl Index {
    /// What keeps a requester from using any PodSecurityPolicy, in sentences, the most telling first: bindings that
    /// name a service account that does not exist, that hold in another namespace only, that refer to a role that
    /// does not exist, and bindings of others.
    pub fn use_hints(&self, requester: &Requester<'_>) -> Vec<String> {
        let mut hints: Vec<(u8, String)> = Vec::new();
        for (key, binding) in self.bindings() {
            match self.rules_of(key, binding) {
                Ok(rules) => {
                    let granted = UseSet::of(rules.iter());
                    if !granted.is_empty() {
                        hints.extend(self.hint(key, binding, &granted, requester));
                    }
                }
                Err(error) if self.concerns(key, binding, requester) => {
                    hints.push((1, format!("{} grants nothing: {error}", describe(key, binding))));
                }
                Err(_) => {}
            }
        }
        hints.sort();
        hints.dedup();
        hints.into_iter().take(MOST).map(|(_, hint)| hint).collect()
    }

    /// What a binding that grants `use` lacks to serve this requester.
    fn hint(
        &self,
        key: &BindingKey,
        binding: &Binding,
        granted: &UseSet,
        requester: &Requester<'_>,
    ) -> Option<(u8, String)> {
        let what = format!("{} grants use of {granted}", describe(key, binding));
        let in_reach = key.namespace.is_empty() || *key.namespace == *requester.namespace;
        if !in_reach {
            return self.concerns(key, binding, requester).then(|| {
                (
                    2,
                    format!(
                        "{what} to this requester, but only in namespace {}; the pod is in {}",
                        quote(&key.namespace),
                        quote(requester.namespace)
                    ),
                )
            });
        }
        for subject in binding.subjects.iter().filter(|subject| subject.kind == "ServiceAccount") {
            let Some(namespace) = service_account_namespace(subject, &key.namespace) else {
                return Some((
                    0,
                    format!(
                        "{what} to ServiceAccount {} without a namespace: in a ClusterRoleBinding that is nobody",
                        quote(&subject.name)
                    ),
                ));
            };
            if !self.service_account_exists(namespace, &subject.name) {
                let there = if namespace == requester.namespace && !requester.service_account.is_empty() {
                    format!("; the pod runs as {}", quote(requester.service_account))
                } else {
                    String::new()
                };
                return Some((
                    0,
                    format!(
                        "{what} to ServiceAccount {}, which does not exist{there}",
                        quote(&format!("{namespace}/{}", subject.name))
                    ),
                ));
            }
            if subject.name == requester.service_account && namespace != requester.namespace {
                return Some((
                    1,
                    format!(
                        "{what} to ServiceAccount {} of namespace {}; the pod's is in {}",
                        quote(&subject.name),
                        quote(namespace),
                        quote(requester.namespace)
                    ),
                ));
            }
        }
        let others: Vec<String> = binding
            .subjects
            .iter()
            .map(|subject| authorize::describe_subject(subject, &key.namespace))
            .collect();
        let others = if others.is_empty() { "nobody".to_owned() } else { others.join(", ") };
        Some((3, format!("{what} to {others}")))
    }

    /// Whether a binding names this requester: as user, by a group, or as the pod's service account.
    fn concerns(&self, key: &BindingKey, binding: &Binding, requester: &Requester<'_>) -> bool {
        authorize::names(binding, requester.user, &key.namespace)
            || !requester.service_account.is_empty()
                && authorize::names(
                    binding,
                    &User::service_account(requester.namespace, requester.service_account),
                    &key.namespace,
                )
    }
}

fn describe(key: &BindingKey, binding: &Binding) -> String {
    let role = format!("{} {}", binding.role_ref.kind, quote(&binding.role_ref.name));
    if key.namespace.is_empty() {
        format!("ClusterRoleBinding {} of {role}", quote(&key.name))
    } else {
        format!("RoleBinding {} of {role}", quote(&format!("{}/{}", key.namespace, key.name)))
    }
}
