//! Object metadata.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Labels;

/// The part of `metav1.ObjectMeta` that decisions look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// Unique within kind and namespace.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Empty for kinds that are not namespaced.
    #[serde(deserialize_with = "nullable")]
    pub namespace: String,
    /// What selectors look at.
    #[serde(deserialize_with = "nullable_map")]
    pub labels: Labels,
    /// PodSecurityPolicy keeps its AppArmor and seccomp settings here.
    #[serde(deserialize_with = "nullable_map")]
    pub annotations: BTreeMap<String, String>,
    /// Who made this object.
    #[serde(deserialize_with = "nullable_objects")]
    pub owner_references: Vec<OwnerReference>,
}

/// The part of `metav1.OwnerReference` that decisions look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
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

/// Reads a map of strings in which `null` stands for the empty string, as Go's JSON decoder does: `app:` without a
/// value is a label with an empty value.
pub fn nullable_map<'de, D>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: Deserializer<'de>,
{
    let map: Option<BTreeMap<String, Option<String>>> = Option::deserialize(deserializer)?;
    Ok(map.unwrap_or_default().into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect())
}

/// Reads a list in which `null` stands for the default of its element, as Go's JSON decoder does.
pub fn nullable_list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    let list: Option<Vec<Option<T>>> = Option::deserialize(deserializer)?;
    Ok(list.unwrap_or_default().into_iter().map(Option::unwrap_or_default).collect())
}

/// A `T` that is written as an object. Serde reads structs from lists, too: `podSelector: []` would select everything,
/// where Kubernetes refuses the policy.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

/// [`nullable`] for what is written as an object.
pub fn nullable_object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    optional_object(deserializer).map(Option::unwrap_or_default)
}

/// Reads what is written as an object, or not at all.
pub fn optional_object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let object: Option<Object<T>> = Option::deserialize(deserializer)?;
    Ok(object.map(|object| object.0))
}

/// [`nullable_list`] for lists of objects.
pub fn nullable_objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    let list: Option<Vec<Option<Object<T>>>> = Option::deserialize(deserializer)?;
    let or_default = |element: Option<Object<T>>| element.map(|object| object.0).unwrap_or_default();
    Ok(list.unwrap_or_default().into_iter().map(or_default).collect())
}

/// [`nullable_objects`] for elements that have no default.
pub fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list: Option<Vec<Object<T>>> = Option::deserialize(deserializer)?;
    Ok(list.unwrap_or_default().into_iter().map(|object| object.0).collect())
}
