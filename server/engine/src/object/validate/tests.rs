use serde_json::json;

use super::findings;
use crate::object::decode::decode;

#[test]
fn names_are_advice() {
    for (api_version, kind, namespace, name, expected) in [
        ("networking.k8s.io/v1", "NetworkPolicy", "shop", "web", &[][..]),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "a.b",
            "with_line",
            &["metadata.name", "metadata.namespace"],
        ),
        ("rbac.authorization.k8s.io/v1", "Role", "shop", "system:with_line", &[]),
        ("rbac.authorization.k8s.io/v1", "Role", "Shop", "a/b", &["metadata.name", "metadata.namespace"]),
        ("v1", "Pod", "Shop", "a/b", &[]),
    ] {
        let value = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}});
        let found = findings(&decode(&value).unwrap().unwrap());
        let paths: Vec<_> = found.advice.iter().map(|advice| advice.path.as_str()).collect();
        assert_eq!(paths, expected, "{kind} {namespace}/{name}");
        assert_eq!(found.refused, []);
    }
}

#[test]
fn namespaces_without_the_label_of_their_name() {
    for (labels, expected) in [
        (json!(null), &[][..]),
        (json!({}), &[]),
        (json!({"a": "b", "kubernetes.io/metadata.name": "shop"}), &[]),
        (json!({"a": "b"}), &["metadata.labels"]),
    ] {
        let value =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}});
        let found = findings(&decode(&value).unwrap().unwrap());
        let paths: Vec<_> = found.advice.iter().map(|advice| advice.path.as_str()).collect();
        assert_eq!(paths, expected, "{labels}");
    }
}
