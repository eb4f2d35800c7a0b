//! PodSecurityPolicies, from lax to strict.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::random::{Topic, below};

/// What policies are like, by their number.
const KINDS: [&str; 8] =
    ["privileged", "restricted", "baseline", "ranges", "hostpath", "network", "nonroot", "defaults"];

/// A policy's name, by its number.
pub(crate) fn policy_name(number: u32) -> String {
    format!("psp-{number:05}-{}", KINDS[number as usize % KINDS.len()])
}

/// The ClusterRole that grants its use.
pub(crate) fn role_name(number: u32) -> String {
    format!("use-{}", policy_name(number))
}

impl Cluster {
    /// The PodSecurityPolicies, each followed by the ClusterRole that grants its use.
    pub(crate) fn pod_security_objects(&self) -> impl Iterator<Item = Value> + '_ {
        (0..self.size.pod_security_policies).flat_map(|number| {
            let role = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": role_name(number)},
                "rules": [{
                    "apiGroups": ["policy"], "resources": ["podsecuritypolicies"],
                    "resourceNames": [policy_name(number)], "verbs": ["use"],
                }],
            });
            [self.pod_security_policy(number), role]
        })
    }

    fn pod_security_policy(&self, number: u32) -> Value {
        let random = self.random(Topic::Policy, (1 << 40) + u64::from(number));
        let mut spec = match KINDS[number as usize % KINDS.len()] {
            "privileged" => privileged(),
            "baseline" => baseline(),
            "ranges" => ranges(1000 + below(random, 50) * 100),
            "hostpath" => host_path(below(random, 20)),
            "network" => host_network(8000 + below(random, 100)),
            "nonroot" => non_root(),
            "defaults" => defaults(),
            _ => restricted(),
        };
        let annotations =
            spec.as_object_mut().and_then(|spec| spec.remove("annotations")).unwrap_or(json!({}));
        json!({
            "apiVersion": "policy/v1beta1", "kind": "PodSecurityPolicy",
            "metadata": {"name": policy_name(number), "annotations": annotations},
            "spec": spec,
        })
    }
}

/// Volumes that read nothing of the node.
const VOLUMES: [&str; 6] =
    ["configMap", "emptyDir", "projected", "secret", "downwardAPI", "persistentVolumeClaim"];

fn any() -> Value {
    json!({"rule": "RunAsAny"})
}

fn privileged() -> Value {
    json!({
        "privileged": true, "allowPrivilegeEscalation": true, "allowedCapabilities": ["*"], "volumes": ["*"],
        "hostNetwork": true, "hostPID": true, "hostIPC": true, "hostPorts": [{"min": 0, "max": 65535}],
        "runAsUser": any(), "seLinux": any(), "supplementalGroups": any(), "fsGroup": any(),
        "annotations": {"seccomp.security.alpha.kubernetes.io/allowedProfileNames": "*"},
    })
}

fn baseline() -> Value {
    json!({
        "privileged": false, "allowPrivilegeEscalation": true, "volumes": VOLUMES,
        "allowedCapabilities": ["NET_BIND_SERVICE", "CHOWN"],
        "runAsUser": any(), "seLinux": any(), "supplementalGroups": any(), "fsGroup": any(),
        "annotations": {"seccomp.security.alpha.kubernetes.io/allowedProfileNames": "runtime/default"},
    })
}

fn restricted() -> Value {
    json!({
        "privileged": false, "allowPrivilegeEscalation": false, "requiredDropCapabilities": ["ALL"],
        "volumes": VOLUMES, "readOnlyRootFilesystem": false,
        "runAsUser": {"rule": "MustRunAsNonRoot"}, "seLinux": any(),
        "supplementalGroups": {"rule": "MustRunAs", "ranges": [{"min": 1, "max": 65535}]},
        "fsGroup": {"rule": "MayRunAs", "ranges": [{"min": 1, "max": 65535}]},
        "annotations": {
            "seccomp.security.alpha.kubernetes.io/allowedProfileNames": "runtime/default,docker/default",
            "seccomp.security.alpha.kubernetes.io/defaultProfileName": "runtime/default",
        },
    })
}

fn ranges(first: u32) -> Value {
    let range = json!({"rule": "MustRunAs", "ranges": [{"min": first, "max": first + 99}, {"min": 30000, "max": 40000}]});
    json!({
        "privileged": false, "allowPrivilegeEscalation": false, "volumes": VOLUMES,
        "requiredDropCapabilities": ["NET_RAW", "SYS_ADMIN"],
        "runAsUser": range, "runAsGroup": range, "fsGroup": range, "supplementalGroups": any(), "seLinux": any(),
        "annotations": {"seccomp.security.alpha.kubernetes.io/allowedProfileNames": "*"},
    })
}

fn host_path(number: u32) -> Value {
    let mut volumes = VOLUMES.to_vec();
    volumes.push("hostPath");
    json!({
        "privileged": false, "volumes": volumes,
        "allowedHostPaths": [
            {"pathPrefix": "/var/log", "readOnly": true}, {"pathPrefix": format!("/data/{number}")},
        ],
        "runAsUser": any(), "seLinux": any(), "supplementalGroups": any(), "fsGroup": any(),
        "annotations": {"seccomp.security.alpha.kubernetes.io/allowedProfileNames": "*"},
    })
}

fn host_network(port: u32) -> Value {
    json!({
        "privileged": false, "hostNetwork": true, "hostPorts": [{"min": port, "max": port + 1000}],
        "allowedCapabilities": ["NET_ADMIN", "NET_RAW"], "volumes": VOLUMES,
        "runAsUser": any(), "supplementalGroups": any(), "fsGroup": any(),
        "seLinux": {"rule": "MustRunAs", "seLinuxOptions": {"level": "s0:c1,c2"}},
        "annotations": {"seccomp.security.alpha.kubernetes.io/allowedProfileNames": "*"},
    })
}

fn non_root() -> Value {
    json!({
        "privileged": false, "volumes": ["*"],
        "allowedHostPaths": [{"pathPrefix": "/var/log", "readOnly": true}],
        "runAsUser": {"rule": "MustRunAsNonRoot"}, "seLinux": any(), "supplementalGroups": any(), "fsGroup": any(),
        "annotations": {"seccomp.security.alpha.kubernetes.io/allowedProfileNames": "*"},
    })
}

fn defaults() -> Value {
    json!({
        "privileged": false, "defaultAllowPrivilegeEscalation": false, "allowPrivilegeEscalation": false,
        "defaultAddCapabilities": ["NET_BIND_SERVICE"], "requiredDropCapabilities": ["KILL", "MKNOD"],
        "volumes": VOLUMES, "readOnlyRootFilesystem": true,
        "runAsUser": {"rule": "MustRunAsNonRoot"}, "seLinux": any(), "supplementalGroups": any(),
        "fsGroup": {"rule": "MustRunAs", "ranges": [{"min": 2000, "max": 2999}]},
        "annotations": {
            "apparmor.security.beta.kubernetes.io/defaultProfileName": "runtime/default",
            "apparmor.security.beta.kubernetes.io/allowedProfileNames": "runtime/default",
            "seccomp.security.alpha.kubernetes.io/allowedProfileNames": "*",
        },
    })
}
