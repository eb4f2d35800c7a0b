//! Pods whose traffic is held back until the server knows them: those that the CNI plugin told of.

pub(crate) mod api;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use gavel_client::v1;
use serde::{Deserialize, Serialize};

/// A pod as the CNI plugin tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hold {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    /// Empty where the runtime tells none.
    #[serde(default)]
    pub(crate) uid: String,
    /// At least one.
    pub(crate) addresses: Vec<IpAddr>,
}

/// Who attached it: the container's id and the interface's name, by which CNI knows an attachment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Attachment {
    #[serde(rename = "containerID")]
    pub(crate) container_id: String,
    pub(crate) ifname: String,
}

/// All of them.
pub(crate) type Holds = BTreeMap<Attachment, Arc<Hold>>;

/// The same by address, as packets are looked up.
pub(crate) type Held = HashMap<IpAddr, Arc<Hold>, RandomState>;

/// By address; each has one: see [`put`].
pub(crate) fn by_address(holds: &Holds) -> Held {
    holds.values().flat_map(|hold| hold.addresses.iter().map(|address| (*address, hold.clone()))).collect()
}

/// Adds one. An address that another one has is the new one's: the other pod is gone, and nobody has said so.
pub(crate) fn put(holds: &mut Holds, attachment: Attachment, hold: Hold) {
    holds.retain(|other, held| {
        *other == attachment || !held.addresses.iter().any(|address| hold.addresses.contains(address))
    });
    holds.insert(attachment, Arc::new(hold));
}

/// The pods that a server knows on this node.
#[derive(Debug, Default)]
pub(crate) struct Known(HashMap<(String, String), (String, Vec<IpAddr>), RandomState>);

impl Known {
    pub(crate) fn new(pods: &[v1::NodePod]) -> Self {
        let pods = pods.iter().map(|pod| {
            let addresses = pod.ips.iter().filter_map(|ip| ip.parse().ok()).collect();
            ((pod.namespace.clone(), pod.name.clone()), (pod.uid.clone(), addresses))
        });
        Self(pods.collect())
    }

    /// Whether the server knows a held pod by this address: by the name alone it may still mean the pod of that name that
    /// there was before.
    pub(crate) fn has(&self, hold: &Hold, address: &IpAddr) -> bool {
        let Some((uid, addresses)) = self.0.get(&(hold.namespace.clone(), hold.pod.clone())) else {
            return false;
        };
        addresses.contains(address) && (uid.is_empty() || !is_uuid(&hold.uid) || *uid == hold.uid)
    }

    /// Whether the server knows a held pod by all its addresses.
    pub(crate) fn has_all(&self, hold: &Hold) -> bool {
        hold.addresses.iter().all(|address| self.has(hold, address))
    }
}

/// Of a static pod the kubelet tells the runtime a hash, which the API server does not know as its UID
/// (`pkg/kubelet/config/file.go`); it has no hyphens.
fn is_uuid(uid: &str) -> bool {
    uid.len() == 36 && uid.contains('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "01234567-89ab-cdef-0123-456789abcdef";

    fn hold(uid: &str) -> Hold {
        let addresses = ["10.0.0.1", "fd00::1"].map(|ip| ip.parse().unwrap()).to_vec();
        Hold { namespace: "shop".into(), pod: "web-0".into(), uid: uid.into(), addresses }
    }

    fn known(uid: &str, ips: &[&str]) -> Known {
        Known::new(&[v1::NodePod {
            namespace: "shop".into(),
            name: "web-0".into(),
            uid: uid.into(),
            ips: ips.iter().map(|ip| (*ip).to_owned()).collect(),
            ..Default::default()
        }])
    }

    #[test]
    fn an_address_is_the_newest_pods() {
        let attachment = |id: &str| Attachment { container_id: id.to_owned(), ifname: "eth0".into() };
        let mut holds = Holds::new();
        put(&mut holds, attachment("z"), hold("1"));
        let other = Hold { pod: "other".into(), addresses: vec!["10.0.0.7".parse().unwrap()], ..hold("2") };
        put(&mut holds, attachment("y"), other.clone());
        // The first one's DEL was lost, and its address given out again; and once more the same.
        for _ in 0..2 {
            let next = Hold { pod: "next".into(), addresses: vec!["fd00::1".parse().unwrap()], ..hold("3") };
            put(&mut holds, attachment("a"), next);
        }
        let names: Vec<_> = holds.values().map(|hold| hold.pod.as_str()).collect();
        assert_eq!(names, ["next", "other"]);
        assert_eq!(by_address(&holds)[&"fd00::1".parse::<IpAddr>().unwrap()].pod, "next");
    }

    #[test]
    fn a_pod_is_known_by_name_address_and_uid() {
        let both = ["10.0.0.1", "fd00::1"];
        assert!(known(UID, &both).has_all(&hold(UID)));
        assert!(!known(UID, &both[..1]).has_all(&hold(UID)));
        assert!(known(UID, &both[..1]).has(&hold(UID), &"10.0.0.1".parse().unwrap()));
        // The pod of that name that there was before, which had the same address.
        assert!(!known("fedcba98-89ab-cdef-0123-456789abcdef", &both).has_all(&hold(UID)));
        // Manifests have no UIDs, nor do some runtimes; that of a static pod is another's.
        assert!(known("", &both).has_all(&hold(UID)));
        assert!(known(UID, &both).has_all(&hold("")));
        assert!(known(UID, &both).has_all(&hold("0123456789abcdef0123456789abcdef")));
        assert!(!Known::default().has_all(&hold(UID)));
    }
}
