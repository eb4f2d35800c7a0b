//! Volumes: which kind each one is, and the little of its source that policies look at.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Text;
use super::projected::{Projected, ProjectedSource};
use crate::object::meta::{Object, nullable};

/// `v1.Volume`. Without a source it is an `emptyDir`, as `SetDefaults_Volume` has it.
#[derive(Clone, Debug)]
pub struct Volume<'a> {
    pub(in crate::admission) name: Text<'a>,
    /// The kind of source, as PodSecurityPolicy calls it. Of a source that Kubernetes 1.24 did not know (`image`) it is
    /// the field's name.
    pub(in crate::admission) kind: Text<'a>,
    /// `hostPath.path`, `flexVolume.driver` or `csi.driver`.
    pub(in crate::admission) detail: Text<'a>,
    /// A projected volume of nothing but what a service account token volume has.
    pub(in crate::admission) is_token: bool,
    /// The place of the source in Kubernetes' order.
    rank: u8,
}

/// A source of a volume, as far as policies look at it.
#[derive(Clone, Debug)]
pub enum VolumeSource<'a> {
    /// `hostPath`: its `path`.
    HostPath(Text<'a>),
    /// `flexVolume`: its `driver`.
    FlexVolume(Text<'a>),
    /// `csi`: its `driver`.
    Csi(Text<'a>),
    /// `projected`.
    Projected {
        /// Whether it holds nothing but what the volume of a service account's token holds.
        is_token: bool,
    },
    /// Any other one, by the name of its field in a volume: `emptyDir`, `configMap`, ….
    Other(Text<'a>),
}

impl<'a> VolumeSource<'a> {
    /// `projected`, of these sources.
    pub fn projected(sources: impl IntoIterator<Item = ProjectedSource<'a>>) -> Self {
        VolumeSource::Projected { is_token: sources.into_iter().all(|source| source.is_of_token()) }
    }
}

impl Default for Volume<'_> {
    fn default() -> Self {
        Volume {
            name: Text::default(),
            kind: "emptyDir".into(),
            detail: Text::default(),
            is_token: false,
            rank: u8::MAX,
        }
    }
}

impl<'a> Volume<'a> {
    /// A volume of these sources. Of several, which validation refuses later, the one counts that
    /// `GetVolumeFSType` asks for first.
    pub fn new(name: Text<'a>, sources: impl IntoIterator<Item = VolumeSource<'a>>) -> Self {
        let mut volume = Self { name, ..Self::default() };
        sources.into_iter().for_each(|source| volume.add(source));
        volume
    }

    fn add(&mut self, source: VolumeSource<'a>) {
        let (field, detail, is_token) = match source {
            VolumeSource::HostPath(path) => ("hostPath".into(), path, false),
            VolumeSource::FlexVolume(driver) => ("flexVolume".into(), driver, false),
            VolumeSource::Projected { is_token } => ("projected".into(), Text::default(), is_token),
            VolumeSource::Csi(driver) => ("csi".into(), driver, false),
            VolumeSource::Other(field) => (field, Text::default(), false),
        };
        let (rank, kind) = match known(&field) {
            Some((rank, kind)) => (rank, kind.into()),
            None => (UNKNOWN, field),
        };
        if rank < self.rank {
            *self = Volume { name: std::mem::take(&mut self.name), kind, detail, is_token, rank };
        }
    }
}

/// Behind all that are known.
const UNKNOWN: u8 = 29;

/// The place of a source in the order in which `GetVolumeFSType` asks (`pkg/security/podsecuritypolicy/util/util.go`),
/// and the name that PodSecurityPolicy has for it. One name differs from that of the field.
fn known(field: &str) -> Option<(u8, &'static str)> {
    Some(match field {
        "hostPath" => (0, "hostPath"),
        "emptyDir" => (1, "emptyDir"),
        "gcePersistentDisk" => (2, "gcePersistentDisk"),
        "awsElasticBlockStore" => (3, "awsElasticBlockStore"),
        "gitRepo" => (4, "gitRepo"),
        "secret" => (5, "secret"),
        "nfs" => (6, "nfs"),
        "iscsi" => (7, "iscsi"),
        "glusterfs" => (8, "glusterfs"),
        "persistentVolumeClaim" => (9, "persistentVolumeClaim"),
        "rbd" => (10, "rbd"),
        "flexVolume" => (11, "flexVolume"),
        "cinder" => (12, "cinder"),
        "cephfs" => (13, "cephFS"),
        "flocker" => (14, "flocker"),
        "downwardAPI" => (15, "downwardAPI"),
        "fc" => (16, "fc"),
        "azureFile" => (17, "azureFile"),
        "configMap" => (18, "configMap"),
        "vsphereVolume" => (19, "vsphereVolume"),
        "quobyte" => (20, "quobyte"),
        "azureDisk" => (21, "azureDisk"),
        "photonPersistentDisk" => (22, "photonPersistentDisk"),
        "storageos" => (23, "storageos"),
        "projected" => (24, "projected"),
        "portworxVolume" => (25, "portworxVolume"),
        "scaleIO" => (26, "scaleIO"),
        "csi" => (27, "csi"),
        "ephemeral" => (28, "ephemeral"),
        _ => return None,
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    path: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    driver: Text<'a>,
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
        let mut volume = Volume::default();
        while let Some(key) = map.next_key::<Text<'a>>()? {
            let source = match &*key {
                "name" => {
                    volume.name = map.next_value::<Option<Text<'a>>>()?.unwrap_or_default();
                    None
                }
                "hostPath" => detail(&mut map)?.map(|source| VolumeSource::HostPath(source.path)),
                "flexVolume" => detail(&mut map)?.map(|source| VolumeSource::FlexVolume(source.driver)),
                "csi" => detail(&mut map)?.map(|source| VolumeSource::Csi(source.driver)),
                "projected" => map
                    .next_value::<Option<Object<Projected<'a>>>>()?
                    .map(|Object(source)| VolumeSource::projected(source.sources)),
                _ => map.next_value::<Option<IgnoredAny>>()?.map(|_| VolumeSource::Other(key)),
            };
            if let Some(source) = source {
                volume.add(source);
            }
        }
        Ok(volume)
    }
}

/// What is told of a source, unless it is `null`.
fn detail<'de: 'a, 'a, M: MapAccess<'de>>(map: &mut M) -> Result<Option<Detail<'a>>, M::Error> {
    Ok(map.next_value::<Option<Object<Detail<'a>>>>()?.map(|Object(source)| source))
}
