//! `rbac.authorization.k8s.io/v1`: the four kinds, two by two.

use serde::Deserialize;

use super::meta::{nullable, nullable_list, nullable_object, nullable_objects, optional_object};
use super::{LabelSelector, ObjectMeta};

/// A Role or a ClusterRole.
#[derive(Clone, Debug, Default, PartialEq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Role {
    /// Name, namespace (of a Role), labels (which aggregation looks at).
    pub metadata: ObjectMeta,
    /// What it grants.
    #[serde(deserialize_with = "nullable_objects")]
    pub rules: Vec<PolicyRule>,
    /// ClusterRole only: take the rules of the ClusterRoles that one of these selects.
    #[serde(deserialize_with = "optional_object")]
    pub aggregation_rule: Option<AggregationRule>,
}

/// `AggregationRule`: where set, the role's own `rules` are replaced by those of the selected roles.
#[derive(Clone, Debug, Default, PartialEq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AggregationRule {
    /// A role is taken when any of these matches its labels.
    #[serde(deserialize_with = "nullable_objects")]
    pub cluster_role_selectors: Vec<LabelSelector>,
}

/// `PolicyRule`: every one of the verbs on every one of the things.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyRule {
    /// `*` means every verb.
    #[serde(deserialize_with = "nullable_list")]
    pub verbs: Vec<String>,
    /// `*` means every group; the core group is `""`.
    #[serde(deserialize_with = "nullable_list")]
    pub api_groups: Vec<String>,
    /// `*`, `RESOURCE`, `RESOURCE/SUBRESOURCE`, `*/SUBRESOURCE`.
    #[serde(deserialize_with = "nullable_list")]
    pub resources: Vec<String>,
    /// Empty means every name; `*` is no wildcard here.
    #[serde(deserialize_with = "nullable_list")]
    pub resource_names: Vec<String>,
    /// Paths; a trailing `*` means every path that begins so.
    #[serde(rename = "nonResourceURLs", deserialize_with = "nullable_list")]
    pub non_resource_urls: Vec<String>,
}

/// A RoleBinding or a ClusterRoleBinding.
#[derive(Clone, Debug, Default, PartialEq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Binding {
    /// Name, and namespace of a RoleBinding.
    pub metadata: ObjectMeta,
    /// Who is granted the role.
    #[serde(deserialize_with = "nullable_objects")]
    pub subjects: Vec<Subject>,
    /// Which role; it need not exist.
    #[serde(deserialize_with = "nullable_object")]
    pub role_ref: RoleRef,
}

/// `RoleRef`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RoleRef {
    /// `rbac.authorization.k8s.io`.
    #[serde(deserialize_with = "nullable")]
    pub api_group: String,
    /// `Role` or `ClusterRole`; of another kind Kubernetes' authorizer says so when it is asked.
    #[serde(deserialize_with = "nullable")]
    pub kind: String,
    /// Name of the role.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
}

/// `Subject`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    #[serde(deserialize_with = "nullable")]
    pub kind: String,
    /// `rbac.authorization.k8s.io` for users and groups, empty for service accounts.
    #[serde(deserialize_with = "nullable")]
    pub api_group: String,
    /// Name.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Of a service account; unset in a RoleBinding means the binding's namespace.
    #[serde(deserialize_with = "nullable")]
    pub namespace: String,
}
