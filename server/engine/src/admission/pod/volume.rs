//! Volumes: which kind each one is, and the little of its source that policies look at.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Text;
use crate::object::meta::{Object, nullable, nullable_objects, optional_object};

/// Field names of the volume sources with the names that PodSecurityPolicy has for them, in the order in which
/// `GetVolumeFSType` asks (`pkg/security/podsecuritypolicy/util/util.go`). One name differs.
const SOURCES: [(&str, &str); 29] = [
    ("hostPath", "hostPath"),
    ("emptyDir", "emptyDir"),
    ("gcePersistentDisk", "gcePersistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("gitRepo", "gitRepo"),
    ("secret", "secret"),
    ("nfs", "nfs"),
    ("iscsi", "iscsi"),
    ("glusterfs", "glusterfs"),
    ("persistentVolumeClaim", "persistentVolumeClaim"),
    ("rbd", "rbd"),
    ("flexVolume", "flexVolume"),
    ("cinder", "cinder"),
    ("cephfs", "cephFS"),
    ("flocker", "flocker"),
    ("downwardAPI", "downwardAPI"),
    ("fc", "fc"),
    ("azureFile", "azureFile"),
    ("configMap", "configMap"),
    ("vsphereVolume", "vsphereVolume"),
    ("quobyte", "quobyte"),
    ("azureDisk", "azureDisk"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("storageos", "storageos"),
    ("projected", "projected"),
    ("portworxVolume", "portworxVolume"),
    ("scaleIO", "scaleIO"),
    ("csi", "csi"),
    ("ephemeral", "ephemeral"),
];

/// `v1.Volume`.
#[derive(Clone, Debug)]
pub(in crate::admission) struct Volume<'a> {
    pub name: Text<'a>,
    /// The kind of source, as PodSecurityPolicy calls it. Without a source it is `emptyDir`: the API's default. Of a
    /// source that Kubernetes 1.24 did not know (`image`) it is the field's name.
    pub kind: Text<'a>,
    /// `hostPath.path`, `flexVolume.driver` or `csi.driver`.
    pub detail: Text<'a>,
    /// A projected volume of nothing but what a service account token volume has.
    pub is_token: bool,
}

/// `SetDefaults_Volume`: without a source it is an `emptyDir`.
impl Default for Volume<'_> {
    fn default() -> Self {
        Volume { name: Text::default(), kind: "emptyDir".into(), detail: Text::default(), is_token: false }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    path: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    driver: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Projected<'a> {
    #[serde(borrow, deserialize_with = "nullable_objects")]
    sources: Vec<ProjectedSource<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ProjectedSource<'a> {
    #[serde(borrow, deserialize_with = "optional_object")]
    service_account_token: Option<Token<'a>>,
    #[serde(borrow, deserialize_with = "optional_object")]
    config_map: Option<ConfigMap<'a>>,
    #[serde(rename = "downwardAPI", borrow, deserialize_with = "optional_object")]
    downward_api: Option<DownwardApi<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Token<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    path: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    audience: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConfigMap<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    name: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DownwardApi<'a> {
    #[serde(borrow, deserialize_with = "nullable_objects")]
    items: Vec<Item<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Item<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    path: Text<'a>,
    #[serde(borrow, deserialize_with = "optional_object")]
    field_ref: Option<FieldRef<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FieldRef<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    api_version: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    field_path: Text<'a>,
}

impl Projected<'_> {
    /// `IsOnlyServiceAccountTokenSources`.
    fn is_token(&self) -> bool {
        self.sources.iter().all(|source| {
            let ProjectedSource { service_account_token, config_map, downward_api } = source;
            (service_account_token.is_some() || config_map.is_some() || downward_api.is_some())
                && service_account_token
                    .as_ref()
                    .is_none_or(|token| &*token.path == "token" && token.audience.is_empty())
                && config_map.as_ref().is_none_or(|map| &*map.name == "kube-root-ca.crt")
                && downward_api.as_ref().is_none_or(|downward| downward.items.iter().all(is_namespace))
        })
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

impl<'de: 'a, 'a> Deserialize<'de> for Volume<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(VolumeVisitor(PhantomData))
    }
}

struct VolumeVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for VolumeVisitor<'a> {
    type Value = Volume<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a volume")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Volume<'a>, M::Error> {
        let mut name = Text::default();
        // Of several sources (which validation refuses later) the first in the order of SOURCES counts.
        let mut best: Option<(usize, Text<'a>, Text<'a>, bool)> = None;
        while let Some(key) = map.next_key::<Text<'a>>()? {
            if &*key == "name" {
                name = map.next_value::<Option<Text<'a>>>()?.unwrap_or_default();
                continue;
            }
            let rank = SOURCES.iter().position(|(field, _)| *field == &*key);
            let (mut detail, mut is_token) = (Text::default(), false);
            let present = match &*key {
                "hostPath" | "flexVolume" | "csi" => {
                    let source = map.next_value::<Option<Object<Detail<'a>>>>()?;
                    let present = source.is_some();
                    if let Some(Object(source)) = source {
                        detail = if &*key == "hostPath" { source.path } else { source.driver };
                    }
                    present
                }
                "projected" => {
                    let source = map.next_value::<Option<Object<Projected<'a>>>>()?;
                    is_token = source.as_ref().is_some_and(|source| source.0.is_token());
                    source.is_some()
                }
                _ => map.next_value::<Option<IgnoredAny>>()?.is_some(),
            };
            let rank = rank.unwrap_or(SOURCES.len());
            if present && best.as_ref().is_none_or(|(other, ..)| rank < *other) {
                let kind = SOURCES.get(rank).map_or(key, |(_, kind)| (*kind).into());
                best = Some((rank, kind, detail, is_token));
            }
        }
        Ok(match best {
            Some((_, kind, detail, is_token)) => Volume { name, kind, detail, is_token },
            None => Volume { name, ..Volume::default() },
        })
    }
}
