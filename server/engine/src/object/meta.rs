//! Object metadata.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::Labels;

/// The part of `metav1.ObjectMeta` that decisions look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// Unique within kind and namespace.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Empty for kinds that are not namespaced.
    #[serde(deserialize_with = "nullable")]
    pub namespace: String,
    /// What selectors look at.
    #[serde(deserialize_with = "nullable")]
    pub labels: Labels,
    /// PodSecurityPolicy keeps its AppArmor and seccomp settings here.
    #[serde(deserialize_with = "nullable")]
    pub annotations: BTreeMap<String, String>,
    /// Who made this object.
    #[serde(deserialize_with = "nullable")]
    pub owner_references: Vec<OwnerReference>,
}

/// The part of `metav1.OwnerReference` that decisions look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// Kind of the owner.
    #[serde(deserialize_with = "nullable")]
    pub kind: String,
    /// Name of the owner, in the object's own namespace.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Whether this owner is the managing controller.
    #[serde(deserialize_with = "nullable")]
    pub controller: bool,
}

/// Reads `null` as the default: Kubernetes' JSON decoder does not tell `null` from absent.
pub fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
