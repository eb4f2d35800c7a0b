//! How much of everything there is.

use thiserror::Error;

/// How much of everything there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Namespaces, `kube-system` and `monitoring` among them.
    pub namespaces: u32,
    /// Pods.
    pub pods: u32,
    /// NetworkPolicies.
    pub policies: u32,
    /// PodSecurityPolicies, each with a ClusterRole that grants its use.
    pub pod_security_policies: u32,
    /// RoleBindings and ClusterRoleBindings.
    pub bindings: u32,
    /// Another cluster of the same size for another number.
    pub seed: u64,
}

impl Default for Size {
    /// The smallest cluster that is worth measuring.
    fn default() -> Self {
        Self { namespaces: 12, pods: 1000, policies: 100, pod_security_policies: 10, bindings: 100, seed: 1 }
    }
}

/// What cannot be made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what} must be {least} to {most}, not {value}")]
pub struct SizeError {
    what: &'static str,
    least: u32,
    most: u32,
    value: u32,
}

impl Size {
    pub(crate) fn check(&self) -> Result<(), SizeError> {
        // As many pods as there are addresses for, twice over; the others are what a file system bears.
        let limits = [
            ("namespaces", self.namespaces, 3, 200_000),
            ("pods", self.pods, 20, 2_000_000),
            ("policies", self.policies, 0, 1_000_000),
            ("pod-security-policies", self.pod_security_policies, 4, 100_000),
            ("bindings", self.bindings, 2, 1_000_000),
        ];
        for (what, value, least, most) in limits {
            if !(least..=most).contains(&value) {
                return Err(SizeError { what, least, most, value });
            }
        }
        if self.pods < self.namespaces {
            let most = self.pods;
            return Err(SizeError { what: "namespaces", least: 3, most, value: self.namespaces });
        }
        Ok(())
    }
}
