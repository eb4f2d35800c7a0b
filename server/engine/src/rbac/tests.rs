//! The RBAC questions, case by case.

use super::{Action, Index, Requester, User};
use crate::object::{Binding, Change, Kind, Object, ObjectKey, Role, ServiceAccount};

fn index(objects: impl IntoIterator<Item = serde_json::Value>) -> Index {
    let mut index = Index::default();
    for object in objects {
        index.apply(&Change::Upsert(read(object)));
    }
    index
}

fn read(value: serde_json::Value) -> Object {
    let kind = value["kind"].as_str().unwrap_or_default().to_owned();
    match kind.as_str() {
        "Role" => Object::Role(serde_json::from_value(value).unwrap()),
        "ClusterRole" => Object::ClusterRole(serde_json::from_value::<Role>(value).unwrap()),
        "RoleBinding" => Object::RoleBinding(serde_json::from_value::<Binding>(value).unwrap()),
        "ClusterRoleBinding" => Object::ClusterRoleBinding(serde_json::from_value(value).unwrap()),
        "ServiceAccount" => Object::ServiceAccount(ServiceAccount {
            metadata: serde_json::from_value(value["metadata"].clone()).unwrap(),
            automount_token: None,
        }),
        other => panic!("unexpected kind {other}"),
    }
}

fn cluster_role(name: &str, rules: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({"kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
}

fn cluster_binding(name: &str, role: &str, subjects: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({"kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": subjects})
}

fn use_rule(names: &[&str]) -> serde_json::Value {
    serde_json::json!([{"verbs": ["use"], "apiGroups": ["policy"], "resources": ["podsecuritypolicies"], "resourceNames": names}])
}

fn user(name: &str, groups: &[&str]) -> User {
    User { name: name.into(), groups: groups.iter().map(|&group| group.into()).collect() }
}

fn get<'a>(resource: &'a str, subresource: &'a str, name: &'a str) -> Action<'a> {
    Action::Resource { verb: "get", namespace: "ns", api_group: "", resource, subresource, name }
}

#[test]
fn resources_subresources_and_names() {
    // Resources, resourceNames; then resource, subresource and name asked for; whether that is covered.
    type Case<'a> = (&'a [&'a str], &'a [&'a str], &'a str, &'a str, &'a str, bool);
    let cases: &[Case<'_>] = &[
        (&["pods"], &[], "pods", "", "a", true),
        (&["pods"], &[], "pods", "log", "a", false),
        (&["pods/log"], &[], "pods", "log", "a", true),
        (&["pods/log"], &[], "pods", "", "a", false),
        (&["*/log"], &[], "pods", "log", "a", true),
        (&["*/log"], &[], "pods", "logs", "a", false),
        (&["*"], &[], "pods", "log", "a", true),
        (&["*/*"], &[], "pods", "log", "a", false),
        (&["pods"], &["a"], "pods", "", "a", true),
        (&["pods"], &["a"], "pods", "", "", false),
        (&["pods"], &["*"], "pods", "", "a", false),
    ];
    for (resources, names, resource, subresource, name, allowed) in cases {
        let index = index([
            cluster_role(
                "r",
                &serde_json::json!([{"verbs": ["get"], "apiGroups": [""], "resources": resources, "resourceNames": names}]),
            ),
            cluster_binding("b", "r", &serde_json::json!([{"kind": "User", "name": "u"}])),
        ]);
        let answer = index.authorize(&user("u", &[]), &get(resource, subresource, name));
        assert_eq!(answer.allowed, *allowed, "{resources:?} {names:?} for {resource}/{subresource} {name}");
    }
}

#[test]
fn paths() {
    let cases = [
        ("/healthz", "/healthz", true),
        ("/healthz", "/healthz/etcd", false),
        ("/healthz/*", "/healthz/etcd", true),
        ("/healthz/*", "/healthz", false),
        ("/api**", "/apis", true),
        ("*", "/anything", true),
    ];
    for (granted, path, allowed) in cases {
        let index = index([
            cluster_role("r", &serde_json::json!([{"verbs": ["get"], "nonResourceURLs": [granted]}])),
            cluster_binding("b", "r", &serde_json::json!([{"kind": "Group", "name": "g"}])),
            serde_json::json!({"kind": "RoleBinding", "metadata": {"name": "b", "namespace": "ns"},
                "roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": [{"kind": "User", "name": "v"}]}),
        ]);
        let action = Action::NonResource { verb: "get", path };
        assert_eq!(index.authorize(&user("u", &["g"]), &action).allowed, allowed, "{granted} {path}");
        assert!(!index.authorize(&user("v", &[]), &action).allowed, "a RoleBinding grants no paths");
    }
}

#[test]
fn service_accounts_and_their_namespaces() {
    let role =
        cluster_role("r", &serde_json::json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]));
    let in_cluster =
        cluster_binding("b", "r", &serde_json::json!([{"kind": "ServiceAccount", "name": "sa"}]));
    let in_namespace = serde_json::json!({"kind": "RoleBinding", "metadata": {"name": "b", "namespace": "ns"},
        "roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "sa"}]});
    let account = User::service_account("ns", "sa");
    assert!(!index([role.clone(), in_cluster]).authorize(&account, &get("pods", "", "")).allowed);
    let answer = index([role, in_namespace]).authorize(&account, &get("pods", "", ""));
    assert_eq!(
        answer.reason,
        r#"RBAC: allowed by RoleBinding "b/ns" of ClusterRole "r" to ServiceAccount "sa/ns""#
    );
}

#[test]
fn a_missing_role_grants_nothing_and_says_so() {
    let index = index([
        cluster_binding("b", "gone", &serde_json::json!([{"kind": "User", "name": "u"}])),
        cluster_binding("c", "gone", &serde_json::json!([{"kind": "User", "name": "u"}])),
        serde_json::json!({"kind": "RoleBinding", "metadata": {"name": "d", "namespace": "ns"},
            "roleRef": {"kind": "Role", "name": "lost"}, "subjects": [{"kind": "User", "name": "u"}]}),
        serde_json::json!({"kind": "RoleBinding", "metadata": {"name": "e", "namespace": "ns"},
            "roleRef": {"kind": "Rôle", "name": "x"}, "subjects": [{"kind": "User", "name": "u"}]}),
    ]);
    assert_eq!(
        index.authorize(&user("u", &[]), &get("pods", "", "")).reason,
        r#"RBAC: [clusterrole.rbac.authorization.k8s.io "gone" not found, role.rbac.authorization.k8s.io "lost" not found, unsupported role reference kind: "Rôle"]"#
    );
}

#[test]
fn aggregation_follows_chains_and_changes() {
    let chain = |name: &str, chooses: &str, label: &str| {
        serde_json::json!({"kind": "ClusterRole", "metadata": {"name": name, "labels": {"to": label}},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": chooses}}]},
            "rules": [{"verbs": ["written"], "apiGroups": [""], "resources": ["pods"]}]})
    };
    let leaf = serde_json::json!({"kind": "ClusterRole", "metadata": {"name": "z-leaf", "labels": {"to": "b"}},
        "rules": [{"verbs": ["use"], "apiGroups": ["policy"], "resources": ["podsecuritypolicies"]}]});
    let mut index = index([
        chain("a", "a", "nobody"),
        chain("b", "b", "a"),
        cluster_binding("bind", "a", &serde_json::json!([{"kind": "User", "name": "u"}])),
    ]);
    let u = user("u", &[]);
    assert!(!index.usable(&u, "ns").contains("any"));
    index.apply(&Change::Upsert(read(leaf)));
    assert!(index.usable(&u, "ns").contains("any"), "through a, which takes from b, which takes from z-leaf");
    assert!(index.may_use(&u, "ns", "any").is_some());
    let written = Action::Resource {
        verb: "written",
        namespace: "",
        api_group: "",
        resource: "pods",
        subresource: "",
        name: "",
    };
    assert!(!index.authorize(&u, &written).allowed, "an aggregated role's own rules are replaced");
    index.apply(&Change::Remove(ObjectKey {
        kind: Kind::ClusterRole,
        namespace: "".into(),
        name: "z-leaf".into(),
    }));
    assert!(!index.usable(&u, "ns").contains("any"));
    assert!(index.may_use(&u, "ns", "any").is_none());
}

#[test]
fn use_follows_roles_and_bindings_as_they_come_and_go() {
    let steps = [
        cluster_binding(
            "b",
            "r",
            &serde_json::json!([{"kind": "Group", "name": "system:serviceaccounts:ns"}]),
        ),
        cluster_role("r", &use_rule(&["p", "q"])),
    ];
    let account = User::service_account("ns", "sa");
    for order in [[0, 1], [1, 0]] {
        let mut index = index(order.map(|step| steps[step].clone()));
        assert!(index.usable(&account, "ns").contains("p"));
        assert_eq!(index.usable(&account, "ns").names().collect::<Vec<_>>(), ["p", "q"]);
        assert!(!index.usable(&account, "ns").contains("other"));
        assert!(!index.usable(&User::service_account("elsewhere", "sa"), "elsewhere").contains("p"));
        index.apply(&Change::Upsert(read(cluster_role("r", &use_rule(&["q"])))));
        assert!(!index.usable(&account, "ns").contains("p"));
        index.apply(&Change::Remove(ObjectKey {
            kind: Kind::ClusterRoleBinding,
            namespace: "".into(),
            name: "b".into(),
        }));
        assert!(!index.usable(&account, "ns").contains("q"));
        assert!(index.may_use(&account, "ns", "q").is_none());
    }
}

#[test]
fn hints_name_what_is_missing() {
    let subjects =
        serde_json::json!([{"kind": "ServiceAccount", "name": "sa-nonroot", "namespace": "default"}]);
    let index = index([
        serde_json::json!({"kind": "ServiceAccount", "metadata": {"name": "nonroot-sa", "namespace": "default"}}),
        cluster_role("nonroot-clusterrole", &use_rule(&["nonroot-psp"])),
        cluster_binding("bindings", "nonroot-clusterrole", &subjects),
        cluster_binding(
            "dangling",
            "gone",
            &serde_json::json!([{"kind": "ServiceAccount", "name": "nonroot-sa", "namespace": "default"}]),
        ),
        serde_json::json!({"kind": "RoleBinding", "metadata": {"name": "far", "namespace": "elsewhere"},
            "roleRef": {"kind": "ClusterRole", "name": "nonroot-clusterrole"},
            "subjects": [{"kind": "ServiceAccount", "name": "nonroot-sa", "namespace": "default"}]}),
    ]);
    let requester = Requester {
        namespace: "default",
        service_account: "nonroot-sa",
        user: &user("system:serviceaccount:kube-system:replicaset-controller", &[]),
    };
    assert_eq!(
        index.use_hints(&requester),
        [
            r#"ClusterRoleBinding "bindings" of ClusterRole "nonroot-clusterrole" grants use of "nonroot-psp" to ServiceAccount "default/sa-nonroot", which does not exist; the pod runs as "nonroot-sa""#,
            r#"ClusterRoleBinding "dangling" of ClusterRole "gone" grants nothing: clusterrole.rbac.authorization.k8s.io "gone" not found"#,
            r#"RoleBinding "elsewhere/far" of ClusterRole "nonroot-clusterrole" grants use of "nonroot-psp" to this requester, but only in namespace "elsewhere"; the pod is in "default""#,
        ]
    );
}
