//! The pods that workloads make, and what the API server adds to them.

use serde_json::{Value, json};

use super::{created, service_account};

fn template() -> Value {
    json!({"metadata": {"name": "ignored", "labels": {"app": "web"}, "annotations": {"a": "b"}},
        "spec": {"containers": [{"name": "c"}]}})
}

#[test]
fn every_kind_of_workload() {
    let replica_set = "system:serviceaccount:kube-system:replicaset-controller";
    let cases = [
        ("Deployment", json!({"template": template()}), "generateName", "web-", replica_set),
        ("ReplicaSet", json!({"template": template()}), "generateName", "web-", replica_set),
        (
            "StatefulSet",
            json!({"template": template()}),
            "name",
            "web-0",
            "system:serviceaccount:kube-system:statefulset-controller",
        ),
        (
            "DaemonSet",
            json!({"template": template()}),
            "generateName",
            "web-",
            "system:serviceaccount:kube-system:daemon-set-controller",
        ),
        (
            "Job",
            json!({"template": template()}),
            "generateName",
            "web-",
            "system:serviceaccount:kube-system:job-controller",
        ),
        (
            "CronJob",
            json!({"jobTemplate": {"spec": {"template": template()}}}),
            "generateName",
            "web-",
            "system:serviceaccount:kube-system:job-controller",
        ),
        (
            "ReplicationController",
            json!({"template": template()}),
            "generateName",
            "web-",
            "system:serviceaccount:kube-system:replication-controller",
        ),
    ];
    for (kind, spec, field, name, creator) in cases {
        let manifest = json!({"kind": kind, "metadata": {"name": "web", "namespace": "shop"}, "spec": spec});
        let created = created(&manifest, "default").unwrap();
        assert_eq!(created.what, format!("{kind} shop/web"));
        assert_eq!(created.namespace, "shop");
        assert_eq!(created.pod["metadata"][field], name, "{kind}");
        assert_eq!(created.pod["metadata"]["labels"], json!({"app": "web"}));
        assert_eq!(created.pod["metadata"]["annotations"], json!({"a": "b"}));
        assert_eq!(created.pod["spec"], template()["spec"]);
        assert_eq!(created.creator.username, creator);
        assert!(created.creator.groups.contains(&"system:serviceaccounts:kube-system".to_owned()));
    }
}

#[test]
fn pods_as_they_are_and_what_has_none() {
    let pod = json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}});
    let made = created(&pod, "shop").unwrap();
    assert_eq!(
        (made.what.as_str(), made.pod["metadata"]["namespace"].as_str()),
        ("Pod shop/p", Some("shop"))
    );
    assert_eq!(made.creator.username, "kubernetes-admin");
    for other in [json!({"kind": "Service", "spec": {}}), json!({"kind": "Deployment"}), json!({}), json!([])]
    {
        assert_eq!(created(&other, "default"), None);
    }
}

#[test]
fn service_account_tokens() {
    let path = "/var/run/secrets/kubernetes.io/serviceaccount";
    let mounted = json!([{"name": "c", "volumeMounts": [{"name": "mine", "mountPath": path}]}]);
    // Spec; whether the account wants its token; the account's name afterwards; whether there is a token volume.
    let cases = [
        (json!({"containers": [{"name": "c"}]}), true, "default", true),
        (json!({"containers": [{"name": "c"}]}), false, "default", false),
        (json!({"serviceAccountName": "x", "containers": [{"name": "c"}]}), true, "x", true),
        (json!({"serviceAccount": "old", "containers": [{"name": "c"}]}), true, "old", true),
        (
            json!({"automountServiceAccountToken": false, "containers": [{"name": "c"}]}),
            true,
            "default",
            false,
        ),
        (
            json!({"automountServiceAccountToken": true, "containers": [{"name": "c"}]}),
            false,
            "default",
            true,
        ),
        (json!({"containers": mounted}), true, "default", false),
        (
            json!({"volumes": null, "containers": [{"name": "c", "volumeMounts": null}]}),
            true,
            "default",
            true,
        ),
    ];
    for (spec, wants, account, has_volume) in cases {
        let mut pod = json!({"metadata": {}, "spec": spec});
        service_account::admit(&mut pod, |_| wants);
        assert_eq!(pod["spec"]["serviceAccountName"], account, "{spec}");
        let volumes = pod["spec"]["volumes"].as_array().map_or(0, Vec::len);
        assert_eq!(volumes == 1, has_volume, "{spec}");
        let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array().into_iter().flatten();
        assert_eq!(mounts.filter(|mount| mount["name"] == "kube-api-access-xxxxx").count() == 1, has_volume);
    }
    let mut mirror = json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}, "spec": {"containers": [{}]}});
    let before = mirror.clone();
    service_account::admit(&mut mirror, |_| true);
    assert_eq!(mirror, before);
}
