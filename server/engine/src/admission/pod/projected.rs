//! Projected volumes, as far as one that holds a service account's token is told from others.

use serde::Deserialize;

use super::Text;
use crate::object::meta::{nullable, nullable_objects, optional_object};

/// `v1.ProjectedVolumeSource`, as it is read from JSON.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Projected<'a> {
    #[serde(borrow, deserialize_with = "nullable_objects")]
    pub sources: Vec<ProjectedSource<'a>>,
}

/// `v1.VolumeProjection`. One of another kind has none of these.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProjectedSource<'a> {
    /// `serviceAccountToken`.
    #[serde(borrow, deserialize_with = "optional_object")]
    pub service_account_token: Option<Token<'a>>,
    /// `configMap`.
    #[serde(borrow, deserialize_with = "optional_object")]
    pub config_map: Option<ConfigMap<'a>>,
    /// `downwardAPI`.
    #[serde(rename = "downwardAPI", borrow, deserialize_with = "optional_object")]
    pub downward_api: Option<DownwardApi<'a>>,
}

/// `v1.ServiceAccountTokenProjection`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Token<'a> {
    /// `path`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub path: Text<'a>,
    /// `audience`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub audience: Text<'a>,
}

/// `v1.ConfigMapProjection`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ConfigMap<'a> {
    /// `name`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub name: Text<'a>,
}

/// `v1.DownwardAPIProjection`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DownwardApi<'a> {
    /// `items`.
    #[serde(borrow, deserialize_with = "nullable_objects")]
    pub items: Vec<Item<'a>>,
}

/// `v1.DownwardAPIVolumeFile`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Item<'a> {
    /// `path`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub path: Text<'a>,
    /// `fieldRef`.
    #[serde(borrow, deserialize_with = "optional_object")]
    pub field_ref: Option<FieldRef<'a>>,
}

/// `v1.ObjectFieldSelector`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FieldRef<'a> {
    /// `apiVersion`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub api_version: Text<'a>,
    /// `fieldPath`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub field_path: Text<'a>,
}

impl ProjectedSource<'_> {
    /// Whether a token volume may hold it (`IsOnlyServiceAccountTokenSources`).
    pub(super) fn is_of_token(&self) -> bool {
        let ProjectedSource { service_account_token, config_map, downward_api } = self;
        (service_account_token.is_some() || config_map.is_some() || downward_api.is_some())
            && service_account_token
                .as_ref()
                .is_none_or(|token| &*token.path == "token" && token.audience.is_empty())
            && config_map.as_ref().is_none_or(|map| &*map.name == "kube-root-ca.crt")
            && downward_api.as_ref().is_none_or(|downward| downward.items.iter().all(is_namespace))
    }
}

/// The item of a token volume that tells the pod its namespace. `apiVersion` defaults to `v1`.
fn is_namespace(item: &Item<'_>) -> bool {
    &*item.path == "namespace"
        && item.field_ref.as_ref().is_some_and(|field| {
            (field.api_version.is_empty() || &*field.api_version == "v1")
                && &*field.field_path == "metadata.namespace"
        })
}
