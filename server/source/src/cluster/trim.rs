//! A pod as it is stored: the fields that policies look at, as a manifest that reads as the same pod.

use std::net::IpAddr;

use gavel_engine::object::{ContainerPort, Pod};
use serde_json::{Value, json};

/// The pod as JSON.
pub(super) fn pod(pod: &Pod) -> Vec<u8> {
    let Pod { namespace, name, uid, node, labels, owner, host_network, ports, addresses, terminated } = pod;
    let mut metadata = json!({"namespace": namespace, "name": name});
    if let Some(uid) = uid {
        metadata["uid"] = json!(uid.to_string());
    }
    if !labels.is_empty() {
        metadata["labels"] = json!(labels);
    }
    if let Some((kind, name)) = owner {
        metadata["ownerReferences"] = json!([{"kind": kind, "name": name, "controller": true}]);
    }
    let ports: Vec<Value> = ports
        .iter()
        .map(|ContainerPort { name, protocol, port }| {
            json!({"name": name, "protocol": protocol.to_string(), "containerPort": port})
        })
        .collect();
    let mut spec = json!({"containers": [{"ports": ports}]});
    if !node.is_empty() {
        spec["nodeName"] = json!(node);
    }
    if *host_network {
        spec["hostNetwork"] = json!(true);
    }
    let addresses: Vec<Value> = addresses.iter().map(|ip: &IpAddr| json!({"ip": ip})).collect();
    let phase = if *terminated { "Succeeded" } else { "Running" };
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": {"phase": phase, "podIPs": addresses},
    })
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use gavel_engine::Object;
    use gavel_engine::object::Kind;

    use super::super::item;

    #[test]
    fn what_is_stored_reads_as_the_same_pod() {
        let texts = [
            r#"{"metadata":{"name":"a","namespace":"n"}}"#,
            r#"{"metadata":{"name":"a","namespace":"n","uid":"01234567-89ab-cdef-0123-456789abcdef","labels":{"x":"y","z":""},
                "ownerReferences":[{"kind":"Job","name":"j"},{"kind":"ReplicaSet","name":"r","controller":true}]},
                "spec":{"nodeName":"node-1","hostNetwork":true,"containers":[{"name":"c","ports":[
                    {"name":"web","containerPort":80},{"name":"dns","protocol":"UDP","containerPort":53},
                    {"containerPort":81}]}],
                  "initContainers":[{"restartPolicy":"Always","ports":[{"name":"side","containerPort":9}]}]},
                "status":{"phase":"Failed","podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}]}}"#,
        ];
        for text in texts {
            let Ok(Object::Pod(pod)) = item::read(Kind::Pod, text.as_bytes()) else { panic!("{text}") };
            let stored = super::pod(&pod);
            assert_eq!(
                item::read(Kind::Pod, &stored),
                Ok(Object::Pod(pod)),
                "{}",
                String::from_utf8_lossy(&stored)
            );
        }
    }
}
