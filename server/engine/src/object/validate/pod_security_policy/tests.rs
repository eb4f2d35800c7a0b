use serde_json::{Value, json};

use crate::object::decode::decode;
use crate::object::validate::{Findings, findings};

/// A policy that says nothing, with `changes` merged in.
fn policy(changes: &Value) -> Value {
    let mut value = json!({"apiVersion": "policy/v1beta1", "kind": "PodSecurityPolicy", "metadata": {"name": "p"},
        "spec": {"runAsUser": {"rule": "RunAsAny"}, "seLinux": {"rule": "RunAsAny"},
            "supplementalGroups": {"rule": "RunAsAny"}, "fsGroup": {"rule": "RunAsAny"}}});
    json_patch::merge(&mut value, changes);
    value
}

/// What is refused, then what is advised against, marked by `?`.
fn paths(changes: &Value) -> Vec<String> {
    let object = decode(&policy(changes)).unwrap().unwrap();
    let Findings { refused, advice } = findings(&object);
    let advice = advice.into_iter().map(|error| format!("{}?", error.path));
    refused.into_iter().map(|error| error.path).chain(advice).collect()
}

#[test]
fn accepted() {
    for spec in [
        json!({}),
        json!({"privileged": null, "volumes": ["*", "csi", "cephFS", "storageOS", "ephemeral"]}),
        // What cannot be built is for admission to skip.
        json!({"runAsUser": {"rule": "MustRunAs"}, "seLinux": {"rule": "MustRunAs"}}),
        json!({"fsGroup": {"rule": "MustRunAs"}, "supplementalGroups": {"rule": "MayRunAs", "ranges": []}}),
        json!({"runAsUser": {"rule": "RunAsAny", "ranges": [{"min": 0, "max": 0}]}}),
        json!({"runAsGroup": {"rule": "MayRunAs", "ranges": [{"min": 1, "max": 2}]}}),
        json!({"runAsGroup": {"rule": "RunAsAny"}}),
        json!({"defaultAllowPrivilegeEscalation": true}),
        json!({"defaultAllowPrivilegeEscalation": false, "allowPrivilegeEscalation": false}),
        json!({"allowedCapabilities": ["*"], "requiredDropCapabilities": []}),
        json!({"allowedCapabilities": ["SYS_ADMIN"], "requiredDropCapabilities": ["ALL"]}),
        json!({"hostPorts": [{"min": 5, "max": 1}, {"max": 70000}]}),
        json!({"allowedProcMountTypes": ["Default", "Unmasked"]}),
        json!({"allowedHostPaths": [{"pathPrefix": "/a..b"}, {"pathPrefix": "relative"}]}),
        json!({"allowedCSIDrivers": [{"name": "CSI.Example.com"}]}),
        json!({"allowedUnsafeSysctls": ["*"]}),
        json!({"allowedUnsafeSysctls": ["kernel.shm*", "net.a-b_c.*", "a.b"], "forbiddenSysctls": ["kernel.msg*"]}),
        json!({"runtimeClass": {"allowedRuntimeClassNames": ["*"], "defaultRuntimeClassName": "a.b"}}),
        json!({"runtimeClass": {"allowedRuntimeClassNames": []}}),
    ] {
        assert_eq!(paths(&json!({"spec": spec})), [""; 0], "{spec}");
    }
}

#[test]
fn refused() {
    for (spec, expected) in [
        (json!({"runAsUser": {"rule": "MayRunAs"}}), vec!["spec.runAsUser.rule"]),
        (json!({"runAsUser": null}), vec!["spec.runAsUser.rule"]),
        (json!({"seLinux": {"rule": ""}}), vec!["spec.seLinux.rule"]),
        (json!({"fsGroup": {"rule": "mustRunAs"}}), vec!["spec.fsGroup.rule"]),
        (json!({"supplementalGroups": {"rule": "MustRunAsNonRoot"}}), vec!["spec.supplementalGroups.rule"]),
        (json!({"runAsGroup": {}}), vec!["spec.runAsGroup.rule"]),
        (json!({"runAsGroup": {"rule": "MustRunAs"}}), vec!["spec.runAsGroup.ranges"]),
        (json!({"runAsGroup": {"rule": "RunAsAny", "ranges": [{}]}}), vec!["spec.runAsGroup.ranges"]),
        (
            json!({"runAsUser": {"rule": "MustRunAs", "ranges": [{"min": 2, "max": 1}, {"min": -2, "max": -1}]}}),
            vec![
                "spec.runAsUser.ranges[0].min",
                "spec.runAsUser.ranges[1].min",
                "spec.runAsUser.ranges[1].max",
            ],
        ),
        (
            json!({"fsGroup": {"rule": "RunAsAny", "ranges": [{"min": 2, "max": 1}]}}),
            vec!["spec.fsGroup.ranges[0].min"],
        ),
        (json!({"volumes": ["secret", "cephfs"]}), vec!["spec.volumes[1]"]),
        (
            json!({"allowedCapabilities": ["*"], "requiredDropCapabilities": ["KILL"]}),
            vec!["spec.requiredDropCapabilities?"],
        ),
        (
            json!({"requiredDropCapabilities": ["A", "B"], "defaultAddCapabilities": ["C", "B"],
                "allowedCapabilities": ["A"]}),
            vec!["spec.defaultAddCapabilities[1]?", "spec.allowedCapabilities[0]?"],
        ),
        (
            json!({"defaultAllowPrivilegeEscalation": true, "allowPrivilegeEscalation": false}),
            vec!["spec.defaultAllowPrivilegeEscalation?"],
        ),
        (json!({"allowedProcMountTypes": ["default"]}), vec!["spec.allowedProcMountTypes[0]"]),
        (
            json!({"allowedHostPaths": [{"pathPrefix": "/a/../b"}, {}]}),
            vec!["spec.allowedHostPaths[0].pathPrefix", "spec.allowedHostPaths[1].pathPrefix"],
        ),
        (json!({"allowedFlexVolumes": [{"driver": "a/b"}, {}]}), vec!["spec.allowedFlexVolumes[1].driver"]),
        (
            json!({"allowedCSIDrivers": [{"name": "a_b"}, {}, {"name": "a".repeat(64)}]}),
            vec![
                "spec.allowedCSIDrivers[0].name",
                "spec.allowedCSIDrivers[1].name",
                "spec.allowedCSIDrivers[2].name",
            ],
        ),
        (
            json!({"allowedUnsafeSysctls": ["", "kernel/shm", "a.*.b", "A", "a.b-", "kernel..x", "a**"]}),
            (0..7).map(|_| "spec.allowedUnsafeSysctls[]").collect(),
        ),
        (json!({"forbiddenSysctls": ["*", "a"]}), vec!["spec.forbiddenSysctls?"]),
        (
            json!({"allowedUnsafeSysctls": ["a.*", "b.c", "d", "e.f.*"], "forbiddenSysctls": ["a.b.*", "b.*", "d", "e.*"]}),
            vec![
                "spec.forbiddenSysctls[0]?",
                "spec.allowedUnsafeSysctls[1]?",
                "spec.allowedUnsafeSysctls[2]?",
                "spec.allowedUnsafeSysctls[3]?",
            ],
        ),
        (
            json!({"allowedUnsafeSysctls": ["a.*"], "forbiddenSysctls": ["a.b"]}),
            vec!["spec.forbiddenSysctls[0]?"],
        ),
        (
            json!({"runtimeClass": {"allowedRuntimeClassNames": ["A", "b", "b"], "defaultRuntimeClassName": "c"}}),
            vec![
                "spec.runtimeClass.allowedRuntimeClassNames[0]",
                "spec.runtimeClass.allowedRuntimeClassNames[2]?",
                "spec.runtimeClass.allowedRuntimeClassNames?",
            ],
        ),
        (
            json!({"runtimeClass": {"allowedRuntimeClassNames": ["*", "b"], "defaultRuntimeClassName": "C"}}),
            vec!["spec.runtimeClass.defaultRuntimeClassName", "spec.runtimeClass.allowedRuntimeClassNames?"],
        ),
    ] {
        let found: Vec<String> = match expected.first() {
            // The same list, whatever the index.
            Some(path) if path.ends_with("[]") => paths(&json!({"spec": spec}))
                .iter()
                .map(|path| path.split('[').next().unwrap().to_owned() + "[]")
                .collect(),
            _ => paths(&json!({"spec": spec})),
        };
        assert_eq!(found, expected, "{spec}");
    }
}

#[test]
fn annotations() {
    for (key, value, is_good) in [
        ("apparmor.security.beta.kubernetes.io/defaultProfileName", "localhost/x", true),
        ("apparmor.security.beta.kubernetes.io/defaultProfileName", "x", false),
        ("apparmor.security.beta.kubernetes.io/allowedProfileNames", "runtime/default,,unconfined", true),
        ("apparmor.security.beta.kubernetes.io/allowedProfileNames", "*", false),
        ("seccomp.security.alpha.kubernetes.io/defaultProfileName", "", true),
        ("seccomp.security.alpha.kubernetes.io/defaultProfileName", "docker/default", true),
        ("seccomp.security.alpha.kubernetes.io/defaultProfileName", "*", false),
        ("seccomp.security.alpha.kubernetes.io/defaultProfileName", "localhost/a/b", true),
        ("seccomp.security.alpha.kubernetes.io/defaultProfileName", "localhost//a", false),
        ("seccomp.security.alpha.kubernetes.io/defaultProfileName", "localhost/a/../b", false),
        ("seccomp.security.alpha.kubernetes.io/allowedProfileNames", "*,runtime/default", true),
        ("seccomp.security.alpha.kubernetes.io/allowedProfileNames", "runtime/default, unconfined", false),
    ] {
        let found = paths(&json!({"metadata": {"annotations": {key: value}}}));
        let expected = if is_good { vec![] } else { vec![format!("metadata.annotations[{key}]")] };
        assert_eq!(found, expected, "{key}: {value}");
    }
}

#[test]
fn groups_of_the_kind() {
    for api_version in ["policy/v1beta1", "extensions/v1beta1", "policy.gavel.dev/v1"] {
        assert_eq!(paths(&json!({"apiVersion": api_version})), [""; 0], "{api_version}");
    }
}
