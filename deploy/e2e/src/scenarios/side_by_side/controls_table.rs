//! The cases: one pod, and the policies its service account may use. Only fields that both versions of Kubernetes take.

use serde_json::{Value, json};

/// What the case is for. The words, and the pod that comes out, are Kubernetes' business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Admitted,
    Refused,
}

/// One pod, created by somebody who may use no policy, for a service account of the case's name.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    /// Name, annotations, and fields of the spec.
    pub(super) policies: Vec<(&'static str, Value, Value)>,
    /// Of the pod.
    pub(super) annotations: Value,
    pub(super) spec: Value,
}

/// All of them.
pub(super) fn all() -> Vec<Case> {
    [
        volumes(),
        capabilities_and_privileges(),
        profiles(),
        sysctls_and_classes(),
        users_and_groups(),
        host(),
        several_policies(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn admitted(name: &'static str, policy: Value, spec: Value) -> Case {
    Case {
        name,
        verdict: Verdict::Admitted,
        policies: vec![(name, Value::Null, policy)],
        annotations: Value::Null,
        spec,
    }
}

fn refused(name: &'static str, policy: Value, spec: Value) -> Case {
    Case { verdict: Verdict::Refused, ..admitted(name, policy, spec) }
}

impl Case {
    fn with_policy_annotations(mut self, annotations: &Value) -> Self {
        for (_, of_policy, _) in &mut self.policies {
            *of_policy = annotations.clone();
        }
        self
    }

    fn with_annotations(self, annotations: Value) -> Self {
        Self { annotations, ..self }
    }

    fn with_policies<const N: usize>(self, policies: [(&'static str, Value); N]) -> Self {
        Self {
            policies: policies.into_iter().map(|(name, spec)| (name, Value::Null, spec)).collect(),
            ..self
        }
    }
}

/// A pod's containers: one, with these fields.
fn container(fields: Value) -> Value {
    let mut container = json!({"name": "c", "image": "registry.example/image:1"});
    if let (Some(container), Value::Object(fields)) = (container.as_object_mut(), fields) {
        container.extend(fields);
    }
    json!([container])
}

fn volumes() -> Vec<Case> {
    vec![
        refused(
            "volumes-refused",
            json!({"volumes": ["configMap", "secret", "projected"]}),
            json!({"volumes": [{"name": "v", "hostPath": {"path": "/etc"}}]}),
        ),
        admitted(
            "volumes-empty-dir",
            json!({"volumes": ["emptyDir", "secret", "projected"]}),
            json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
        ),
        refused(
            "volumes-none-allowed",
            json!({"volumes": []}),
            json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
        ),
        refused(
            "host-path-writable",
            json!({"allowedHostPaths": [{"pathPrefix": "/var/log", "readOnly": true}]}),
            json!({"volumes": [{"name": "v", "hostPath": {"path": "/var/log/x"}}], "containers": container(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}))}),
        ),
        admitted(
            "host-path-read-only",
            json!({"allowedHostPaths": [{"pathPrefix": "/var/log", "readOnly": true}]}),
            json!({"volumes": [{"name": "v", "hostPath": {"path": "/var/log/x"}}], "containers": container(json!({"volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true}]}))}),
        ),
        refused(
            "host-path-elsewhere",
            json!({"allowedHostPaths": [{"pathPrefix": "/var/log", "readOnly": true}]}),
            json!({"volumes": [{"name": "v", "hostPath": {"path": "/var/logs"}}], "containers": container(json!({"volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true}]}))}),
        ),
        refused(
            "flex-volume-refused",
            json!({"allowedFlexVolumes": [{"driver": "example/good"}]}),
            json!({"volumes": [{"name": "v", "flexVolume": {"driver": "example/bad"}}]}),
        ),
        refused(
            "csi-driver-refused",
            json!({"allowedCSIDrivers": [{"name": "good.example"}]}),
            json!({"volumes": [{"name": "v", "csi": {"driver": "bad.example"}}]}),
        ),
        admitted(
            "csi-driver",
            json!({"allowedCSIDrivers": [{"name": "good.example"}]}),
            json!({"volumes": [{"name": "v", "csi": {"driver": "good.example"}}]}),
        ),
        refused(
            "ephemeral-volume-refused",
            json!({"volumes": ["emptyDir"]}),
            json!({"automountServiceAccountToken": false, "volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}}]}),
        ),
    ]
}

fn capabilities_and_privileges() -> Vec<Case> {
    vec![
        admitted(
            "capabilities-default",
            json!({"defaultAddCapabilities": ["NET_BIND_SERVICE"], "requiredDropCapabilities": ["KILL", "MKNOD"]}),
            json!({}),
        ),
        refused(
            "capabilities-refused",
            json!({"allowedCapabilities": ["CHOWN"]}),
            json!({"containers": container(json!({"securityContext": {"capabilities": {"add": ["SYS_ADMIN", "CHOWN", "NET_RAW"]}}}))}),
        ),
        refused(
            "capabilities-drop-missing",
            json!({"requiredDropCapabilities": ["KILL"]}),
            json!({"containers": container(json!({"securityContext": {"capabilities": {"add": ["KILL"]}}}))}),
        ),
        admitted(
            "capabilities-any",
            json!({"allowedCapabilities": ["*"]}),
            json!({"containers": container(json!({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}))}),
        ),
        refused(
            "proc-mount-refused",
            json!({}),
            json!({"hostUsers": false, "containers": container(json!({"securityContext": {"procMount": "Unmasked"}}))}),
        ),
        refused(
            "privileged",
            json!({"privileged": false}),
            json!({"containers": container(json!({"securityContext": {"privileged": true}})), "initContainers": [{"name": "i", "image": "registry.example/image:1", "securityContext": {"privileged": true}}]}),
        ),
        admitted("read-only-root-default", json!({"readOnlyRootFilesystem": true}), json!({})),
        refused(
            "read-only-root-refused",
            json!({"readOnlyRootFilesystem": true}),
            json!({"containers": container(json!({"securityContext": {"readOnlyRootFilesystem": false}}))}),
        ),
        admitted("escalation-default", json!({"allowPrivilegeEscalation": false}), json!({})),
        refused(
            "escalation-refused",
            json!({"allowPrivilegeEscalation": false}),
            json!({"containers": container(json!({"securityContext": {"allowPrivilegeEscalation": true}}))}),
        ),
        admitted(
            "escalation-default-true",
            json!({"allowPrivilegeEscalation": true, "defaultAllowPrivilegeEscalation": true}),
            json!({}),
        ),
    ]
}

fn profiles() -> Vec<Case> {
    let seccomp = json!({"seccomp.security.alpha.kubernetes.io/allowedProfileNames": "runtime/default,localhost/mine", "seccomp.security.alpha.kubernetes.io/defaultProfileName": "runtime/default"});
    let app_armor = json!({"apparmor.security.beta.kubernetes.io/allowedProfileNames": "runtime/default,localhost/mine", "apparmor.security.beta.kubernetes.io/defaultProfileName": "runtime/default"});
    vec![
        admitted("seccomp-default", json!({}), json!({})).with_policy_annotations(&seccomp),
        admitted("seccomp-field", json!({}), json!({"securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "mine"}}})).with_policy_annotations(&seccomp),
        refused("seccomp-field-refused", json!({}), json!({"containers": container(json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}))})).with_policy_annotations(&seccomp),
        refused("seccomp-annotation-refused", json!({}), json!({})).with_policy_annotations(&seccomp).with_annotations(json!({"seccomp.security.alpha.kubernetes.io/pod": "unconfined"})),
        admitted("seccomp-annotation", json!({}), json!({})).with_policy_annotations(&seccomp).with_annotations(json!({"seccomp.security.alpha.kubernetes.io/pod": "localhost/mine"})),
        refused("seccomp-without-rule", json!({}), json!({"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}})),
        admitted("app-armor-default", json!({}), json!({})).with_policy_annotations(&app_armor),
        admitted("app-armor-allowed", json!({}), json!({})).with_policy_annotations(&app_armor).with_annotations(json!({"container.apparmor.security.beta.kubernetes.io/c": "localhost/mine"})),
        refused("app-armor-refused", json!({}), json!({})).with_policy_annotations(&app_armor).with_annotations(json!({"container.apparmor.security.beta.kubernetes.io/c": "localhost/other"})),
        admitted("se-linux-default", json!({"seLinux": {"rule": "MustRunAs", "seLinuxOptions": {"level": "s0:c123,c456", "user": "u", "role": "r", "type": "t"}}}), json!({})),
        refused("se-linux-refused", json!({"seLinux": {"rule": "MustRunAs", "seLinuxOptions": {"level": "s0:c123,c456", "user": "u", "role": "r", "type": "t"}}}), json!({"securityContext": {"seLinuxOptions": {"level": "s0:c456,c124", "user": "u"}}})),
        admitted("se-linux-other-order", json!({"seLinux": {"rule": "MustRunAs", "seLinuxOptions": {"level": "s0:c123,c456", "user": "u", "role": "r", "type": "t"}}}), json!({"securityContext": {"seLinuxOptions": {"level": "s0:c456,c123", "user": "u", "role": "r", "type": "t"}}})),
    ]
}

fn sysctls_and_classes() -> Vec<Case> {
    vec![
        admitted(
            "sysctl-safe",
            json!({}),
            json!({"securityContext": {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]}}),
        ),
        refused(
            "sysctl-forbidden",
            json!({"forbiddenSysctls": ["kernel.shm*"]}),
            json!({"securityContext": {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]}}),
        ),
        refused(
            "sysctl-unsafe",
            json!({}),
            json!({"securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}}),
        ),
        admitted(
            "sysctl-unsafe-allowed",
            json!({"allowedUnsafeSysctls": ["net.core.*"]}),
            json!({"securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}}),
        ),
        admitted(
            "runtime-class-default",
            json!({"runtimeClass": {"allowedRuntimeClassNames": ["first"], "defaultRuntimeClassName": "first"}}),
            json!({}),
        ),
        refused(
            "runtime-class-refused",
            json!({"runtimeClass": {"allowedRuntimeClassNames": ["first"]}}),
            json!({"runtimeClassName": "second"}),
        ),
    ]
}

fn users_and_groups() -> Vec<Case> {
    vec![
        admitted(
            "fs-group-default",
            json!({"fsGroup": {"rule": "MustRunAs", "ranges": [{"min": 2000, "max": 2500}, {"min": 3000, "max": 3001}]}}),
            json!({}),
        ),
        refused(
            "fs-group-refused",
            json!({"fsGroup": {"rule": "MustRunAs", "ranges": [{"min": 2000, "max": 2500}, {"min": 3000, "max": 3001}]}}),
            json!({"securityContext": {"fsGroup": 2999}}),
        ),
        admitted(
            "fs-group-may",
            json!({"fsGroup": {"rule": "MayRunAs", "ranges": [{"min": 2000, "max": 2500}]}}),
            json!({}),
        ),
        refused(
            "fs-group-may-refused",
            json!({"fsGroup": {"rule": "MayRunAs", "ranges": [{"min": 2000, "max": 2500}]}}),
            json!({"securityContext": {"fsGroup": 1}}),
        ),
        admitted(
            "supplemental-groups-default",
            json!({"supplementalGroups": {"rule": "MustRunAs", "ranges": [{"min": 5, "max": 9}]}}),
            json!({}),
        ),
        refused(
            "supplemental-groups-refused",
            json!({"supplementalGroups": {"rule": "MustRunAs", "ranges": [{"min": 5, "max": 9}]}}),
            json!({"securityContext": {"supplementalGroups": [5, 10]}}),
        ),
        admitted(
            "run-as-user-default",
            json!({"runAsUser": {"rule": "MustRunAs", "ranges": [{"min": 700, "max": 800}]}}),
            json!({}),
        ),
        refused(
            "run-as-user-refused",
            json!({"runAsUser": {"rule": "MustRunAs", "ranges": [{"min": 700, "max": 800}]}}),
            json!({"securityContext": {"runAsUser": 801}, "initContainers": [{"name": "i", "image": "registry.example/image:1", "securityContext": {"runAsUser": 1}}]}),
        ),
        admitted(
            "run-as-group-default",
            json!({"runAsGroup": {"rule": "MustRunAs", "ranges": [{"min": 40, "max": 41}]}}),
            json!({}),
        ),
        refused(
            "run-as-group-refused",
            json!({"runAsGroup": {"rule": "MayRunAs", "ranges": [{"min": 40, "max": 41}]}}),
            json!({"containers": container(json!({"securityContext": {"runAsGroup": 42}}))}),
        ),
        admitted(
            "init-container-default",
            json!({"runAsUser": {"rule": "MustRunAsNonRoot"}, "allowPrivilegeEscalation": false}),
            json!({"initContainers": [{"name": "i", "image": "registry.example/image:1"}], "securityContext": {"runAsGroup": 3}}),
        ),
    ]
}

fn host() -> Vec<Case> {
    vec![
        admitted(
            "host-port",
            json!({"hostPorts": [{"min": 8000, "max": 9000}, {"min": 80, "max": 80}]}),
            json!({"containers": container(json!({"ports": [{"containerPort": 8080, "hostPort": 8080}]}))}),
        ),
        refused(
            "host-port-refused",
            json!({"hostPorts": [{"min": 8000, "max": 9000}, {"min": 80, "max": 80}]}),
            json!({"containers": container(json!({"ports": [{"containerPort": 443, "hostPort": 443}]}))}),
        ),
        refused("host-namespaces", json!({}), json!({"hostNetwork": true, "hostPID": true, "hostIPC": true})),
        admitted(
            "host-network",
            json!({"hostNetwork": true, "hostPorts": [{"min": 0, "max": 65535}]}),
            json!({"hostNetwork": true, "containers": container(json!({"ports": [{"containerPort": 80}]}))}),
        ),
    ]
}

fn several_policies() -> Vec<Case> {
    vec![
        admitted("two-policies-unchanged-wins", json!({}), json!({})).with_policies([
            ("two-policies-unchanged-wins-a", json!({"readOnlyRootFilesystem": true})),
            ("two-policies-unchanged-wins-b", json!({})),
        ]),
        admitted("two-policies-first-of-changing", json!({}), json!({})).with_policies([
            ("two-policies-first-of-changing-b", json!({"readOnlyRootFilesystem": true})),
            (
                "two-policies-first-of-changing-a",
                json!({"runAsUser": {"rule": "MustRunAs", "ranges": [{"min": 9, "max": 9}]}}),
            ),
        ]),
        refused(
            "two-policies-refuse",
            json!({}),
            json!({"hostIPC": true, "containers": container(json!({"securityContext": {"runAsUser": 0}}))}),
        )
        .with_policies([
            (
                "two-policies-refuse-a",
                json!({"runAsUser": {"rule": "MustRunAs", "ranges": [{"min": 9, "max": 9}]}}),
            ),
            ("two-policies-refuse-b", json!({"runAsUser": {"rule": "MustRunAsNonRoot"}})),
        ]),
        admitted("annotation-of-the-user", json!({}), json!({}))
            .with_annotations(json!({"kubernetes.io/psp": "canary"})),
    ]
}
