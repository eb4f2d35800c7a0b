//! Each control: what it objects to, in Kubernetes' words, and what it fills in.

use serde_json::{Value, json};

use super::support::{filled_in, objections};

/// Policy, pod, and the objections.
fn check(cases: &[(Value, Value, &[&str])]) {
    for (policy, pod, expected) in cases {
        assert_eq!(objections(policy, pod), *expected, "{policy} {pod}");
    }
}

fn container(context: &Value) -> Value {
    json!({"containers": [{"name": "c", "securityContext": context}]})
}

#[test]
fn privileges() {
    check(&[
        (
            json!({}),
            container(&json!({"privileged": true})),
            &[
                "spec.containers[0].securityContext.privileged: Invalid value: true: Privileged containers are not allowed",
            ],
        ),
        (json!({"privileged": true}), container(&json!({"privileged": true})), &[]),
        (
            json!({}),
            container(&json!({"procMount": "Unmasked"})),
            &[
                "spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": ProcMountType is not allowed",
            ],
        ),
        (
            json!({"allowedProcMountTypes": ["Unmasked"]}),
            container(&json!({})),
            &[
                "spec.containers[0].securityContext.procMount: Invalid value: \"Default\": ProcMountType is not allowed",
            ],
        ),
        (
            json!({"readOnlyRootFilesystem": true}),
            container(&json!({"readOnlyRootFilesystem": false})),
            &[
                "spec.containers[0].securityContext.readOnlyRootFilesystem: Invalid value: false: ReadOnlyRootFilesystem must be set to true",
            ],
        ),
        (
            json!({"allowPrivilegeEscalation": false}),
            container(&json!({"allowPrivilegeEscalation": true})),
            &[
                "spec.containers[0].securityContext.allowPrivilegeEscalation: Invalid value: true: Allowing privilege escalation for containers is not allowed",
            ],
        ),
    ]);
    let path = |field: &str| format!("/spec/containers/0/securityContext/{field}");
    assert_eq!(
        filled_in(&json!({"readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false}), &json!({})),
        [(path("readOnlyRootFilesystem"), json!(true)), (path("allowPrivilegeEscalation"), json!(false))]
    );
    assert_eq!(
        filled_in(&json!({"defaultAllowPrivilegeEscalation": true}), &json!({})),
        [(path("allowPrivilegeEscalation"), json!(true))]
    );
}

#[test]
fn host() {
    check(&[
        (
            json!({}),
            json!({"hostPID": true, "hostIPC": true, "hostNetwork": true}),
            &[
                "spec.securityContext.hostNetwork: Invalid value: true: Host network is not allowed to be used",
                "spec.securityContext.hostPID: Invalid value: true: Host PID is not allowed to be used",
                "spec.securityContext.hostIPC: Invalid value: true: Host IPC is not allowed to be used",
            ],
        ),
        // On the host's network a container's port is the host's.
        (
            json!({"hostNetwork": true, "hostPorts": [{"min": 1, "max": 2}, {"min": 5, "max": 5}]}),
            json!({"hostNetwork": true, "containers": [{"name": "c", "ports": [{"containerPort": 5}, {"containerPort": 80}]}]}),
            &[
                "spec.containers[0].hostPort: Invalid value: 80: Host port 80 is not allowed to be used. Allowed ports: [1-2,5]",
            ],
        ),
        (
            json!({}),
            json!({"initContainers": [{"name": "i", "ports": [{"containerPort": 1, "hostPort": 9}]}]}),
            &[
                "spec.initContainers[0].hostPort: Invalid value: 9: Host port 9 is not allowed to be used. Allowed ports: []",
            ],
        ),
        // Ephemeral containers get no default.
        (
            json!({"hostNetwork": true}),
            json!({"hostNetwork": true, "ephemeralContainers": [{"name": "e", "ports": [{"containerPort": 1}]}]}),
            &[],
        ),
    ]);
}

#[test]
fn users_and_groups() {
    let must = json!({"rule": "MustRunAs", "ranges": [{"min": 10, "max": 20}, {"min": 5, "max": 5}]});
    check(&[
        (
            json!({"runAsUser": must}),
            container(&json!({"runAsUser": 21})),
            &[
                "spec.containers[0].securityContext.runAsUser: Invalid value: 21: must be in the ranges: [{10 20} {5 5}]",
            ],
        ),
        (json!({"runAsUser": must}), json!({"securityContext": {"runAsUser": 5}}), &[]),
        (
            json!({"runAsUser": {"rule": "MustRunAsNonRoot"}}),
            json!({"securityContext": {"runAsUser": 0, "runAsNonRoot": true}}),
            &[
                "spec.containers[0].securityContext.runAsUser: Invalid value: 0: running with the root UID is forbidden",
            ],
        ),
        (
            json!({"runAsUser": {"rule": "MustRunAsNonRoot"}}),
            container(&json!({"runAsNonRoot": false, "runAsUser": 7})),
            &["spec.containers[0].securityContext.runAsNonRoot: Invalid value: false: must be true"],
        ),
        (
            json!({"runAsGroup": must}),
            container(&json!({"runAsGroup": 1})),
            &[
                "spec.containers[0].securityContext: Invalid value: []int64{1}: group 1 must be in the ranges: [{10 20} {5 5}]",
            ],
        ),
        (
            json!({"fsGroup": must}),
            json!({"securityContext": {"fsGroup": 1}}),
            &[
                "spec.securityContext.fsGroup: Invalid value: []int64{1}: group 1 must be in the ranges: [{10 20} {5 5}]",
            ],
        ),
        // An empty list is not filled in, and is none of the ranges'; a missing one is.
        (
            json!({"supplementalGroups": must}),
            json!({"securityContext": {"supplementalGroups": []}}),
            &[
                "spec.securityContext.supplementalGroups: Invalid value: []int64{}: unable to validate empty groups against required ranges",
            ],
        ),
        (json!({"supplementalGroups": must}), json!({"securityContext": {"supplementalGroups": null}}), &[]),
        (
            json!({"supplementalGroups": {"rule": "MayRunAs", "ranges": [{"min": 1, "max": 1}]}}),
            json!({"securityContext": {"supplementalGroups": [1, 2, 3]}}),
            &[
                "spec.securityContext.supplementalGroups: Invalid value: []int64{1, 2, 3}: group 2 must be in the ranges: [{1 1}]",
                "spec.securityContext.supplementalGroups: Invalid value: []int64{1, 2, 3}: group 3 must be in the ranges: [{1 1}]",
            ],
        ),
    ]);
    assert_eq!(
        filled_in(
            &json!({"runAsUser": must, "runAsGroup": must, "fsGroup": must, "supplementalGroups": must}),
            &json!({})
        ),
        [
            ("/spec/securityContext/supplementalGroups".to_owned(), json!([10])),
            ("/spec/securityContext/fsGroup".to_owned(), json!(10)),
            ("/spec/containers/0/securityContext/runAsUser".to_owned(), json!(10)),
            ("/spec/containers/0/securityContext/runAsGroup".to_owned(), json!(10)),
        ]
    );
}

#[test]
fn capabilities() {
    let policy = json!({"defaultAddCapabilities": ["B", "A"], "requiredDropCapabilities": ["X"], "allowedCapabilities": ["C"]});
    check(&[
        (
            policy.clone(),
            container(&json!({"capabilities": {"add": ["C", "D\"\n"]}})),
            &[
                "spec.containers[0].securityContext.capabilities.add: Invalid value: \"D\\\"\\n\": capability may not be added",
            ],
        ),
        (json!({"allowedCapabilities": ["*"]}), container(&json!({"capabilities": {"add": ["ANY"]}})), &[]),
    ]);
    let path = "/spec/containers/0/securityContext/capabilities".to_owned();
    assert_eq!(filled_in(&policy, &json!({})), [(path.clone(), json!({"add": ["A", "B"], "drop": ["X"]}))]);
    // What the container drops is not added.
    assert_eq!(
        filled_in(&policy, &container(&json!({"capabilities": {"add": ["C"], "drop": ["A"]}}))),
        [(path, json!({"add": ["B", "C"], "drop": ["A", "X"]}))]
    );
    // Named twice is still there: nothing to fill in.
    let twice = container(&json!({"capabilities": {"add": ["A", "B", "A"], "drop": ["X", "X"]}}));
    assert_eq!(filled_in(&policy, &twice), []);
}

#[test]
fn se_linux() {
    let policy =
        json!({"seLinux": {"rule": "MustRunAs", "seLinuxOptions": {"level": "s0:c1,c2", "user": "u"}}});
    check(&[
        (
            policy.clone(),
            json!({"securityContext": {"seLinuxOptions": {"level": "s0:c2,c1", "user": "u"}}}),
            &[],
        ),
        (
            policy.clone(),
            container(&json!({"seLinuxOptions": {"level": "s1:c1,c2", "role": "r"}})),
            &[
                "spec.containers[0].securityContext.seLinuxOptions.level: Invalid value: \"s1:c1,c2\": must be s0:c1,c2",
                "spec.containers[0].securityContext.seLinuxOptions.role: Invalid value: \"r\": must be ",
                "spec.containers[0].securityContext.seLinuxOptions.user: Invalid value: \"\": must be u",
            ],
        ),
    ]);
    assert_eq!(
        filled_in(&policy, &json!({})),
        [("/spec/securityContext/seLinuxOptions".to_owned(), json!({"user": "u", "level": "s0:c1,c2"}))]
    );
}

#[test]
fn volumes() {
    let token = json!({"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt"}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}]}});
    let mut spoiled = token.clone();
    spoiled["projected"]["sources"][0]["serviceAccountToken"]["audience"] = json!("vault");
    let host = |path: &str| {
        json!({"volumes": [{"name": "h", "hostPath": {"path": path}}],
        "containers": [{"name": "c", "volumeMounts": [{"name": "h", "readOnly": true}, {"name": "h"}]}]})
    };
    let paths =
        json!({"allowedHostPaths": [{"pathPrefix": "/var/", "readOnly": true}, {"pathPrefix": "/var/log"}]});
    check(&[
        (json!({"volumes": ["secret"]}), json!({"volumes": [token]}), &[]),
        (
            json!({"volumes": ["secret"]}),
            json!({"volumes": [spoiled]}),
            &["spec.volumes[0]: Invalid value: \"projected\": projected volumes are not allowed to be used"],
        ),
        (
            json!({"volumes": ["emptyDir"]}),
            json!({"volumes": [{"name": "none"}, {"name": "null", "nfs": null}]}),
            &[],
        ),
        (json!({"volumes": ["cephFS"]}), json!({"volumes": [{"name": "v", "cephfs": {}}]}), &[]),
        (
            json!({"volumes": []}),
            json!({"volumes": [{"name": "v", "storageos": {}}]}),
            &["spec.volumes[0]: Invalid value: \"storageos\": storageos volumes are not allowed to be used"],
        ),
        // A kind that Kubernetes 1.24 did not know is allowed by `*` alone.
        (
            json!({"volumes": ["secret"]}),
            json!({"volumes": [{"name": "v", "image": {"reference": "r"}}]}),
            &["spec.volumes[0]: Invalid value: \"image\": image volumes are not allowed to be used"],
        ),
        (json!({"volumes": ["*"]}), json!({"volumes": [{"name": "v", "image": {"reference": "r"}}]}), &[]),
        (
            paths.clone(),
            host("/var"),
            &["spec.containers[0].volumeMounts[1].readOnly: Invalid value: false: must be read-only"],
        ),
        (paths.clone(), host("/var/log/pods"), &[]),
        (
            paths,
            host("/variable"),
            &["spec.volumes[0].hostPath.pathPrefix: Invalid value: \"/variable\": is not allowed to be used"],
        ),
        (
            json!({"allowedFlexVolumes": [{"driver": "a"}]}),
            json!({"volumes": [{"name": "v", "flexVolume": {"driver": "b"}}]}),
            &["spec.volumes[0].driver: Invalid value: \"b\": Flexvolume driver is not allowed to be used"],
        ),
        (
            json!({"allowedCSIDrivers": [{"name": "a"}]}),
            json!({"volumes": [{"name": "v", "csi": {"driver": "b"}}]}),
            &[
                "spec.volumes[0].csi.driver: Invalid value: \"b\": Inline CSI driver is not allowed to be used",
            ],
        ),
    ]);
}

#[test]
fn sysctls_and_runtime_classes() {
    let sysctls = |names: &[&str]| {
        let list: Vec<Value> = names.iter().map(|name| json!({"name": name, "value": "1"})).collect();
        json!({"securityContext": {"sysctls": list}})
    };
    let policy =
        json!({"allowedUnsafeSysctls": ["kernel.msg*"], "forbiddenSysctls": ["net.ipv4.tcp_syncookies"]});
    check(&[
        (policy.clone(), sysctls(&["kernel.shm_rmid_forced", "kernel.msgmax"]), &[]),
        (
            policy,
            sysctls(&["kernel.sem", "net.ipv4.tcp_syncookies"]),
            &[
                "pod.spec.securityContext.sysctls[0]: Forbidden: unsafe sysctl \"kernel.sem\" is not allowed",
                "pod.spec.securityContext.sysctls[1]: Forbidden: sysctl \"net.ipv4.tcp_syncookies\" is not allowed",
            ],
        ),
        (
            json!({"runtimeClass": {"allowedRuntimeClassNames": ["a"]}}),
            json!({"runtimeClassName": "b"}),
            &["spec.runtimeClassName: Invalid value: \"b\""],
        ),
        (json!({"runtimeClass": {"allowedRuntimeClassNames": []}}), json!({}), &[]),
        (json!({"runtimeClass": {"allowedRuntimeClassNames": ["*"]}}), json!({"runtimeClassName": "b"}), &[]),
    ]);
    let policy = json!({"runtimeClass": {"allowedRuntimeClassNames": ["a"], "defaultRuntimeClassName": "a"}});
    assert_eq!(filled_in(&policy, &json!({})), [("/spec/runtimeClassName".to_owned(), json!("a"))]);
}
