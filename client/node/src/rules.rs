//! Which packets are asked about: what follows from the node's pods.

use std::collections::BTreeSet;
use std::net::IpAddr;

use gavel_client::v1::NodePod;

use crate::holds::{Holds, Known};

/// Whose packets come here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Connections to these addresses are asked about.
    pub(crate) to: BTreeSet<IpAddr>,
    /// Connections from these.
    pub(crate) from: BTreeSet<IpAddr>,
    /// Addresses of this node's pods, isolated or not: what comes from them comes by their interfaces.
    pub(crate) pods: BTreeSet<IpAddr>,
}

impl Rules {
    /// Isolated pods are asked about in the direction in which they are isolated, and pods that the server does not know
    /// yet in both.
    pub(crate) fn new(pods: &[NodePod], holds: &Holds) -> Self {
        let mut rules = Self::default();
        for pod in pods {
            for address in pod.ips.iter().filter_map(|ip| ip.parse().ok()) {
                rules.pods.insert(address);
                if pod.ingress_isolated {
                    rules.to.insert(address);
                }
                if pod.egress_isolated {
                    rules.from.insert(address);
                }
            }
        }
        let known = Known::new(pods);
        for hold in holds.values() {
            for address in hold.addresses.iter().filter(|address| !known.has(hold, address)) {
                for set in [&mut rules.pods, &mut rules.to, &mut rules.from] {
                    set.insert(*address);
                }
            }
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::holds::{Attachment, Hold};

    fn pod(name: &str, ips: &[&str], ingress_isolated: bool, egress_isolated: bool) -> NodePod {
        NodePod {
            namespace: "n".into(),
            name: name.into(),
            ips: ips.iter().map(|ip| (*ip).to_owned()).collect(),
            ingress_isolated,
            egress_isolated,
            ..Default::default()
        }
    }

    fn set(ips: &[&str]) -> BTreeSet<IpAddr> {
        ips.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn isolated_and_held_pods_are_asked_about() {
        let pods = [
            pod("open", &["10.0.0.1"], false, false),
            pod("in", &["10.0.0.2", "fd00::2"], true, false),
            pod("out", &["10.0.0.3"], false, true),
        ];
        let rules = Rules::new(&pods, &Holds::new());
        assert_eq!((&rules.to, &rules.from), (&set(&["10.0.0.2", "fd00::2"]), &set(&["10.0.0.3"])));
        assert_eq!(rules.pods, set(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::2"]));
        let hold = |pod: &str, ip: &str| {
            let attachment = Attachment { container_id: pod.to_owned(), ifname: "eth0".into() };
            let addresses = vec![ip.parse().unwrap()];
            let hold = Hold { namespace: "n".into(), pod: pod.into(), uid: String::new(), addresses };
            (attachment, Arc::new(hold))
        };
        // One that the server knows, and one that it does not.
        let holds = Holds::from([hold("open", "10.0.0.1"), hold("new", "10.0.0.9")]);
        let rules = Rules::new(&pods, &holds);
        assert_eq!(rules.to, set(&["10.0.0.2", "10.0.0.9", "fd00::2"]));
        assert_eq!(rules.from, set(&["10.0.0.3", "10.0.0.9"]));
        assert!(rules.pods.contains(&"10.0.0.9".parse().unwrap()));
    }
}
