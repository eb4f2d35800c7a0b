//! Questions, without end: mostly between pods that there are, about what they listen on.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::cluster::{Cluster, SYSTEM, namespace_name};
use crate::random::{Topic, below, next};

impl Cluster {
    /// CheckFlowRequests in protobuf's JSON mapping: two in three within a namespace.
    pub fn flows(&self) -> impl Iterator<Item = Value> + '_ {
        (0..).map(|number| self.flow(number))
    }

    /// AdmissionReviews (`admission.k8s.io/v1`) of pods that are created.
    pub fn admissions(&self) -> impl Iterator<Item = Value> + '_ {
        (0..).map(|number| self.admission(number))
    }

    fn flow(&self, number: u64) -> Value {
        let random = self.random(Topic::Flow, number);
        let draw = |step: u64, limit: u32| below(next(random, step), limit);
        let source = draw(1, self.size.pods);
        let (destination, is_dns) = if draw(2, 12) == 0 {
            let servers = self.pods_of(SYSTEM);
            (servers.start + draw(3, servers.end - servers.start), true)
        } else if draw(2, 12) < 9 {
            // Of twelve, one asks for a name, eight their neighbours, three anybody.
            let near = self.pods_of(self.namespace_of(source));
            (near.start + draw(3, near.end - near.start), false)
        } else {
            (draw(3, self.size.pods), false)
        };
        let outside = draw(4, 20);
        let from =
            if outside == 0 { outside_address(next(random, 5)) } else { self.end(source, next(random, 6)) };
        let to = if outside == 1 {
            outside_address(next(random, 5))
        } else {
            self.end(destination, next(random, 7))
        };
        let mut question = json!({"source": from, "destination": to});
        if is_dns && outside != 1 {
            question["protocol"] = "PROTOCOL_UDP".into();
        }
        let port = match outside {
            1 => [443, 443, 80, 22][draw(8, 4) as usize],
            _ if is_dns => 53,
            _ => self.port(destination, next(random, 8)),
        };
        question["port"] = port.into();
        question
    }

    /// Mostly by address, as whoever sees packets knows them.
    fn end(&self, pod: u32, random: u64) -> Value {
        if below(random, 10) == 0 {
            let namespace = self.namespace_of(pod);
            return json!({"pod": {"namespace": namespace_name(namespace), "name": self.pod_name(namespace, pod)}});
        }
        json!({"ip": self.address(pod).to_string()})
    }

    /// Mostly one that the pod listens on.
    fn port(&self, pod: u32, random: u64) -> u32 {
        let application = self.application(self.namespace_of(pod), pod);
        match below(random, 10) {
            0 => 9090,
            1 => [22, 8000, 8500, 9000, 9001, 65535][below(next(random, 1), 6) as usize],
            _ if application.namespace == SYSTEM => 53,
            _ => match application.tier() {
                "db" => 5432,
                _ if application.number % 3 == 1 => 8443,
                _ => 8080,
            },
        }
    }
}

/// Of the internet, of an office, or of a network for documentation, which policies except.
fn outside_address(random: u64) -> Value {
    let host = below(next(random, 1), 254) + 1;
    let address = match below(random, 3) {
        0 => Ipv4Addr::from_bits(0xC0A8_0000 | below(next(random, 2), 256) << 8 | host),
        1 => Ipv4Addr::from_bits(0xCB00_7100 | host),
        _ => Ipv4Addr::from_bits(0x5DB8_0000 | below(next(random, 2), 65_536) | 1),
    };
    json!({"ip": address.to_string()})
}
