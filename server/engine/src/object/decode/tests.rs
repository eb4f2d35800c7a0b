use serde_json::{Value, json};

use super::*;
use crate::object::{IpBlock, Peer, PortMatch, Protocol};

/// Decodes both ways, which must agree but for the position that only text has.
fn both(value: &Value) -> Result<Option<Object>, Vec<String>> {
    let texts = |errors: Vec<FieldError>| {
        let text = |error: &FieldError| {
            let text = error.to_string();
            text.split(" at line ").next().unwrap_or_default().to_owned()
        };
        errors.iter().map(text).collect::<Vec<_>>()
    };
    let from_value = decode(value).map_err(texts);
    let from_text = decode_slice(value.to_string().as_bytes()).map_err(texts);
    assert_eq!(from_value, from_text, "{value}");
    from_value
}

fn object(value: &Value) -> Object {
    both(value).unwrap().unwrap()
}

fn errors(value: &Value) -> Vec<String> {
    both(value).unwrap_err()
}

fn policy(spec: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": "shop", "name": "web"}, "spec": spec})
}

#[test]
fn kinds_and_groups() {
    for (api_version, kind, expected) in [
        ("v1", "Pod", "Pod default/x"),
        ("v1", "Namespace", "Namespace x"),
        ("v1", "ServiceAccount", "ServiceAccount default/x"),
        ("v1", "ReplicationController", "ReplicationController default/x"),
        ("apps/v1", "Deployment", "Deployment default/x"),
        ("apps/v1beta1", "Deployment", "Deployment default/x"),
        ("extensions/v1beta1", "Deployment", "Deployment default/x"),
        ("extensions/v1beta1", "DaemonSet", "DaemonSet default/x"),
        ("apps/v1beta2", "ReplicaSet", "ReplicaSet default/x"),
        ("apps/v1", "StatefulSet", "StatefulSet default/x"),
        ("batch/v1", "Job", "Job default/x"),
        ("batch/v1beta1", "CronJob", "CronJob default/x"),
        ("networking.k8s.io/v1", "NetworkPolicy", "NetworkPolicy default/x"),
        ("rbac.authorization.k8s.io/v1", "Role", "Role default/x"),
        ("rbac.authorization.k8s.io/v1beta1", "ClusterRole", "ClusterRole x"),
        ("rbac.authorization.k8s.io/v1alpha1", "RoleBinding", "RoleBinding default/x"),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "ClusterRoleBinding x"),
    ] {
        let value = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}});
        assert_eq!(object(&value).key().to_string(), expected, "{api_version} {kind}");
    }
}

#[test]
fn other_kinds_are_not_read() {
    for (api_version, kind) in [
        ("v1", "Service"),
        ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"),
        ("projectcalico.org/v3", "NetworkPolicy"),
        ("authorization.openshift.io/v1", "Role"),
    ] {
        // Not even looked at: nothing else need be right about them.
        assert_eq!(both(&json!({"apiVersion": api_version, "kind": kind})), Ok(None), "{api_version} {kind}");
    }
}

#[test]
fn other_versions_are_errors() {
    for (api_version, kind, read) in [
        ("extensions/v1beta1", "NetworkPolicy", "networking.k8s.io/v1"),
        ("networking.k8s.io/v2", "NetworkPolicy", "networking.k8s.io/v1"),
        ("v1", "NetworkPolicy", "networking.k8s.io/v1"),
        ("policy/v1", "PodSecurityPolicy", "policy/v1beta1, extensions/v1beta1, policy.gavel.dev/v1"),
        (
            "policy.gavel.dev/v2",
            "PodSecurityPolicy",
            "policy/v1beta1, extensions/v1beta1, policy.gavel.dev/v1",
        ),
        ("extensions/v1beta1", "StatefulSet", "apps/*"),
        ("v2", "Pod", "v1"),
    ] {
        let value = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}});
        let expected = format!("apiVersion: {kind} is not read from {api_version:?}, but from {read}");
        assert_eq!(errors(&value), [expected]);
    }
}

#[test]
fn what_every_object_needs() {
    assert_eq!(errors(&json!({})), ["kind: is required", "apiVersion: is required"]);
    assert_eq!(errors(&json!({"apiVersion": "v1", "kind": "Pod"})), ["metadata.name: is required"]);
    assert_eq!(
        errors(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": null})),
        ["metadata.name: is required"]
    );
    assert_eq!(
        errors(&json!({"apiVersion": "v1", "kind": 5})),
        ["kind: invalid type: integer `5`, expected a string"]
    );
    let Err(errors) = decode_slice(b"{\"kind\": \"Pod\"") else { panic!("half an object") };
    assert!(errors[0].message.contains("EOF"), "{errors:?}");
    assert!(decode_slice(b"{\"kind\": \"Service\", \"apiVersion\": \"v1\"} x").is_err());
}

#[test]
fn pods_and_namespaces_names() {
    let value = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-"}});
    assert_eq!(object(&value).key().to_string(), "Pod default/web-");
    let value = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "namespace": "b"}});
    assert_eq!(object(&value).key().to_string(), "Namespace a");
}

#[test]
fn network_policy_in_full() {
    let Object::NetworkPolicy(policy) = object(&policy(&json!({
        "podSelector": {"matchLabels": {"app": "web", "empty": null}},
        "policyTypes": null,
        "ingress": [
            {"from": [{"podSelector": {}}, {"namespaceSelector": {"matchExpressions": [
                {"key": "env", "operator": "In", "values": ["a"]}]}, "podSelector": null}],
             "ports": [{"port": 80}, {"port": 8000, "endPort": 8080, "protocol": "UDP"}, {"port": "http"}, {}]},
            {},
            null,
        ],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.1.2.3/8", "except": ["10.1.0.0/16"]}}]}],
    }))) else {
        panic!("another kind")
    };
    assert_eq!(policy.namespace, "shop");
    assert_eq!(policy.pod_selector.match_labels["empty"], "");
    assert!(policy.isolates_ingress && policy.isolates_egress);
    let [first, second, third] = policy.ingress.as_slice() else {
        panic!("three rules: {:?}", policy.ingress)
    };
    assert!(matches!(&first.peers[0], Peer::Pods { namespace_selector: None, pod_selector: Some(_) }));
    assert!(matches!(&first.peers[1], Peer::Pods { namespace_selector: Some(_), pod_selector: None }));
    let ports: Vec<_> = first.ports.iter().map(|port| (port.protocol, port.port.clone())).collect();
    assert_eq!(
        ports,
        [
            (Protocol::Tcp, PortMatch::Range(80, 80)),
            (Protocol::Udp, PortMatch::Range(8000, 8080)),
            (Protocol::Tcp, PortMatch::Name("http".into())),
            (Protocol::Tcp, PortMatch::All),
        ]
    );
    assert!(second.peers.is_empty() && second.ports.is_empty());
    assert_eq!(second, third);
    let block = IpBlock { cidr: "10.0.0.0/8".parse().unwrap(), except: vec!["10.1.0.0/16".parse().unwrap()] };
    assert_eq!(policy.egress[0].peers, [Peer::IpBlock(block)]);
}

#[test]
fn network_policy_types() {
    for (spec, expected) in [
        (json!({}), (true, false)),
        (json!({"egress": []}), (true, false)),
        (json!({"egress": [{}]}), (true, true)),
        (json!({"policyTypes": ["Egress"]}), (false, true)),
        (json!({"policyTypes": ["Ingress", "Ingress"], "egress": [{}]}), (true, false)),
    ] {
        let Object::NetworkPolicy(policy) = object(&policy(&spec)) else { panic!("another kind") };
        assert_eq!((policy.isolates_ingress, policy.isolates_egress), expected, "{spec}");
    }
}

#[test]
fn network_policy_mistakes() {
    let ingress = |rule: Value| json!({"ingress": [rule]});
    for (spec, expected) in [
        (
            ingress(json!({"ports": [{"port": 0}, {"port": 65536}, {"port": "80"}, {"port": ""}]})),
            vec![
                "spec.ingress[0].ports[0].port: 0 is not a port: must be between 1 and 65535, inclusive",
                "spec.ingress[0].ports[1].port: 65536 is not a port: must be between 1 and 65535, inclusive",
                "spec.ingress[0].ports[2].port: \"80\" is not valid: must contain at least one letter (a-z)",
                "spec.ingress[0].ports[3].port: \"\" is not valid: must contain only alpha-numeric characters (a-z, \
                 0-9), and hyphens (-)",
            ],
        ),
        (
            ingress(
                json!({"ports": [{"endPort": 80}, {"port": "a", "endPort": 80}, {"port": 90, "endPort": 80}]}),
            ),
            vec![
                "spec.ingress[0].ports[0].endPort: 80 may not be specified when `port` is not specified",
                "spec.ingress[0].ports[1].endPort: 80 may not be specified when `port` is non-numeric",
                "spec.ingress[0].ports[2].endPort: 80 must be greater than or equal to `port` (90)",
            ],
        ),
        (
            ingress(json!({"ports": [{"protocol": "tcp"}, {"protocol": ""}]})),
            vec![
                "spec.ingress[0].ports[0].protocol: \"tcp\" is not supported; supported values are \"TCP\", \"UDP\", \
                 \"SCTP\"",
                "spec.ingress[0].ports[1].protocol: \"\" is not supported; supported values are \"TCP\", \"UDP\", \
                 \"SCTP\"",
            ],
        ),
        (
            ingress(json!({"from": [{}, {"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}]})),
            vec![
                "spec.ingress[0].from[0]: must specify a peer: podSelector, namespaceSelector or ipBlock",
                "spec.ingress[0].from[1]: may not specify both ipBlock and another peer",
            ],
        ),
        (
            json!({"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/33"}}, {"ipBlock": {}}, {"ipBlock": {
                "cidr": "10.0.0.0/8", "except": ["10.0.0.0/8", "11.0.0.0/16", "10.0.0.1", "10.0.0.0/9"]}}]}]}),
            vec![
                "spec.egress[0].to[0].ipBlock.cidr: \"10.0.0.0/33\" is not a CIDR, such as 10.0.0.0/8 or fd00::/8",
                "spec.egress[0].to[1].ipBlock.cidr: is required",
                "spec.egress[0].to[2].ipBlock.except[2]: \"10.0.0.1\" is not a CIDR, such as 10.0.0.0/8 or fd00::/8",
                "spec.egress[0].to[2].ipBlock.except[0]: \"10.0.0.0/8\" must be a strict subset of `cidr` (10.0.0.0/8)",
                "spec.egress[0].to[2].ipBlock.except[1]: \"11.0.0.0/16\" must be a strict subset of `cidr` (10.0.0.0/8)",
            ],
        ),
        (
            json!({"policyTypes": ["ingress"]}),
            vec![
                "spec.policyTypes[0]: \"ingress\" is not supported; supported values are \"Ingress\", \"Egress\"",
            ],
        ),
        (
            json!({"policyTypes": ["Ingress", "Egress", "Ingress"]}),
            vec!["spec.policyTypes: may not specify more than two policyTypes"],
        ),
        (
            json!({"podSelector": {"matchLabels": {"a b": "c", "d": "e f"}, "matchExpressions": [
                {"key": "a", "operator": "In"}, {"key": "a", "operator": "Exists", "values": ["b"]},
                {"key": "", "operator": "DoesNotExist"}]}}),
            vec![
                "spec.podSelector.matchLabels: \"a b\" is not valid: name part must consist of alphanumeric \
                 characters, '-', '_' or '.', and must start and end with an alphanumeric character",
                "spec.podSelector.matchLabels[d]: \"e f\" is not valid: a valid label must be an empty string or \
                 consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
                 character",
                "spec.podSelector.matchExpressions[0].values: must be specified when `operator` is 'In' or 'NotIn'",
                "spec.podSelector.matchExpressions[1].values: may not be specified when `operator` is 'Exists' or \
                 'DoesNotExist'",
                "spec.podSelector.matchExpressions[2].key: \"\" is not valid: name part must be non-empty",
            ],
        ),
        (
            json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}),
            vec![
                "spec.podSelector.matchExpressions[0].operator: unknown variant `Is`, expected one of `In`, `NotIn`, \
                 `Exists`, `DoesNotExist`",
            ],
        ),
        (
            ingress(json!({"ports": [{"port": 1}, {"port": true}]})),
            vec![
                "spec.ingress[0].ports[1].port: invalid type: boolean `true`, expected a number or a string",
            ],
        ),
        (
            ingress(json!({"ports": [{"port": 4294967296_i64}]})),
            vec!["spec.ingress[0].ports[0].port: 4294967296 does not fit into 32 bits"],
        ),
        (
            json!({"ingress": [{"to": [], "ports": [{"ports": 1}]}], "ingres": [], "podSelector": {"app": "x"}}),
            vec![
                "unknown field \"spec.ingres\"",
                "unknown field \"spec.ingress[0].ports[0].ports\"",
                "unknown field \"spec.ingress[0].to\"",
                "unknown field \"spec.podSelector.app\"",
            ],
        ),
        (
            json!({"ingres": [], "policyTypes": "Ingress"}),
            vec![
                "unknown field \"spec.ingres\"",
                "spec.policyTypes: invalid type: string \"Ingress\", expected a sequence",
            ],
        ),
    ] {
        assert_eq!(errors(&policy(&spec)), expected, "{spec}");
    }
}

#[test]
fn lists_are_no_objects() {
    for (spec, path) in [
        (json!([]), "spec"),
        (json!({"podSelector": []}), "spec.podSelector"),
        (json!({"ingress": [[]]}), "spec.ingress[0]"),
        (json!({"ingress": [{"from": [{"ipBlock": ["10.0.0.0/8"]}]}]}), "spec.ingress[0].from[0].ipBlock"),
    ] {
        let errors = errors(&policy(&spec));
        assert!(errors[0].starts_with(&format!("{path}: invalid type: sequence")), "{spec}: {errors:?}");
    }
}

#[test]
fn metadata_and_status_may_have_anything() {
    let mut value = policy(&json!({}));
    value["metadata"]["managedFields"] = json!([{"any": "thing"}]);
    value["status"] = json!({"conditions": []});
    object(&value);
    value["stauts"] = json!({});
    assert_eq!(errors(&value), ["unknown field \"stauts\""]);
}

#[test]
fn pod_in_full() {
    let Object::Pod(pod) = object(&json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}, "ownerReferences": [
            {"kind": "First", "name": "a"}, {"kind": "ReplicaSet", "name": "b", "controller": true}]},
        "spec": {
            "hostNetwork": true, "unknown": [],
            "containers": [
                {"name": "a", "ports": [{"name": "http", "containerPort": 80}, {"containerPort": 81}]},
                {"name": "b", "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]}],
            "initContainers": [
                {"name": "c", "ports": [{"name": "once", "containerPort": 1}]},
                {"name": "d", "restartPolicy": "Always", "ports": [{"name": "side", "containerPort": 2, "protocol": ""}]}],
        },
        "status": {"phase": "Running", "podIP": "10.0.0.9",
            "podIPs": [{"ip": "10.0.0.1"}, {"ip": "::ffff:10.0.0.1"}, {"ip": "fd00::1"}]},
    })) else {
        panic!("another kind")
    };
    assert_eq!(pod.owner, Some(("ReplicaSet".into(), "b".into())));
    assert!(pod.host_network && !pod.terminated);
    let ports: Vec<_> = pod.ports.iter().map(|port| (port.name.as_str(), port.protocol, port.port)).collect();
    assert_eq!(ports, [("http", Protocol::Tcp, 80), ("dns", Protocol::Udp, 53), ("side", Protocol::Tcp, 2)]);
    assert_eq!(pod.addresses, ["10.0.0.1".parse::<std::net::IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
}

#[test]
fn pods_in_part() {
    let pod = |rest: Value| {
        let mut value = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}});
        json_patch::merge(&mut value, &rest);
        match object(&value) {
            Object::Pod(pod) => pod,
            other => panic!("{other:?}"),
        }
    };
    let owners = |references: Value| pod(json!({"metadata": {"ownerReferences": references}})).owner;
    assert_eq!(
        owners(json!([{"kind": "First", "name": "a"}, {"kind": "B", "name": "b"}])),
        Some(("First".into(), "a".into()))
    );
    assert_eq!(owners(json!([{"name": "a"}])), Some(("Pod".into(), "a".into())));
    assert_eq!(owners(json!([])), None);
    assert_eq!(pod(json!({"status": {"podIP": "010.0.0.1"}})).addresses.len(), 1);
    for (phase, terminated) in [("Pending", false), ("Succeeded", true), ("Failed", true), ("Unknown", false)]
    {
        assert_eq!(pod(json!({"status": {"phase": phase}})).terminated, terminated, "{phase}");
    }
}

#[test]
fn pod_mistakes() {
    let value = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"containers": [{"ports": [{"containerPort": 70000}, {"name": "x", "protocol": "ICMP"}]}],
            "initContainers": [{"ports": [{"containerPort": -1}]}]},
        "status": {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0"}]}});
    assert_eq!(
        errors(&value),
        [
            "spec.containers[0].ports[0].containerPort: 70000 is not a port: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[1].protocol: \"ICMP\" is not supported; supported values are \"TCP\", \"UDP\", \
             \"SCTP\"",
            "spec.containers[0].ports[1].containerPort: 0 is not a port: must be between 1 and 65535, inclusive",
            "spec.initContainers[0].ports[0].containerPort: -1 is not a port: must be between 1 and 65535, inclusive",
            "status.podIPs[1].ip: \"10.0.0\" is not an IP address",
        ]
    );
    let value =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"app.x/y": 5}}});
    assert_eq!(errors(&value), ["metadata.labels[app.x/y]: invalid type: integer `5`, expected a string"]);
}

#[test]
fn workloads() {
    let template = json!({"metadata": {"labels": {"app": "web"}, "name": "ignored"},
        "spec": {"hostNetwork": true, "containers": [{"ports": [{"name": "http", "containerPort": 80}]}]}});
    let workload = |api_version: &str, kind: &str, spec: Value| {
        let value = json!({"apiVersion": api_version, "kind": kind,
            "metadata": {"name": "w", "namespace": "n", "labels": {"app": "other"}}, "spec": spec});
        match object(&value) {
            Object::Workload(workload) => workload,
            other => panic!("{other:?}"),
        }
    };
    let deployment = workload("apps/v1", "Deployment", json!({"template": template}));
    assert_eq!(deployment.kind, Kind::Deployment);
    assert_eq!((deployment.pod.namespace.as_str(), deployment.pod.name.as_str()), ("n", "w"));
    assert_eq!(deployment.pod.labels["app"], "web");
    assert!(deployment.pod.host_network && deployment.pod.owner.is_none() && deployment.pod.ports.len() == 1);
    let cron_job = workload("batch/v1", "CronJob", json!({"jobTemplate": {"spec": {"template": template}}}));
    assert_eq!(cron_job.kind, Kind::CronJob);
    assert_eq!(cron_job.pod, deployment.pod);

    let bad = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "w"}, "spec": {"jobTemplate":
        {"spec": {"template": {"spec": {"containers": [{"ports": [{"containerPort": 0}]}]}}}}}});
    assert_eq!(
        errors(&bad),
        [
            "spec.jobTemplate.spec.template.spec.containers[0].ports[0].containerPort: 0 is not a port: must be between \
          1 and 65535, inclusive"
        ]
    );
}

#[test]
fn service_accounts() {
    for (automount, expected) in [(json!(null), None), (json!(false), Some(false))] {
        let value = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"},
            "automountServiceAccountToken": automount});
        let Object::ServiceAccount(account) = object(&value) else { panic!("another kind") };
        assert_eq!((account.metadata.namespace.as_str(), account.automount_token), ("default", expected));
    }
}

#[test]
fn rbac_defaults() {
    let value = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}, {"kind": "Robot"}]});
    let Object::RoleBinding(binding) = object(&value) else { panic!("another kind") };
    let group = "rbac.authorization.k8s.io";
    assert_eq!(binding.role_ref.api_group, group);
    let groups: Vec<_> = binding.subjects.iter().map(|subject| subject.api_group.as_str()).collect();
    assert_eq!(groups, [group, "", ""]);
}

#[test]
fn rbac_of_v1alpha1() {
    let value = json!({"apiVersion": "rbac.authorization.k8s.io/v1alpha1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "r"},
        "subjects": [{"kind": "User", "name": "*", "apiVersion": "rbac.authorization.k8s.io/v1alpha1"},
            {"kind": "ServiceAccount", "name": "s", "namespace": "n", "apiVersion": "v1"}]});
    let Object::ClusterRoleBinding(binding) = object(&value) else { panic!("another kind") };
    let who: Vec<_> =
        binding.subjects.iter().map(|subject| (subject.kind.as_str(), subject.name.as_str())).collect();
    assert_eq!(who, [("Group", "system:authenticated"), ("ServiceAccount", "s")]);
    // In later versions the star is a user like any other, and subjects have no apiVersion.
    let mut later = value.clone();
    later["apiVersion"] = json!("rbac.authorization.k8s.io/v1");
    assert_eq!(
        errors(&later),
        ["unknown field \"subjects[0].apiVersion\"", "unknown field \"subjects[1].apiVersion\""]
    );
}

#[test]
fn rbac_mistakes() {
    let role = |kind: &str, rest: Value| {
        let mut value =
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": "r"}});
        json_patch::merge(&mut value, &rest);
        errors(&value)
    };
    assert_eq!(
        role("Role", json!({"rules": [{"verbs": ["get"], "resource": ["pods"]}]})),
        ["unknown field \"rules[0].resource\""]
    );
    assert_eq!(
        role("Role", json!({"aggregationRule": {"clusterRoleSelectors": [{}]}})),
        ["unknown field \"aggregationRule\": only a ClusterRole has it"]
    );
    assert_eq!(
        role(
            "ClusterRole",
            json!({"aggregationRule": {"clusterRoleSelectors": [{"matchExpressions": [
            {"key": "a", "operator": "In", "values": ["x y"]}, {"key": "a", "operator": "NotIn"}]}]}})
        )
        .len(),
        2
    );
}
