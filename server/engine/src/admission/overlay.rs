//! What a policy fills into a pod, kept beside it: the pod itself is shared by all policies that are tried.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::pod::{Capabilities, Container, PodSecurityContext, PodView, SeLinux, Spec};
use crate::object::pod_security_policy::SeLinuxOptions;

/// The defaults of one policy for one pod. Every field that is `None` is left as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Overlay<'p> {
    /// The one group that `MustRunAs` fills in.
    pub supplemental_group: Option<i64>,
    pub fs_group: Option<i64>,
    /// Only ever of the pod: its containers inherit it.
    pub se_linux: Option<&'p SeLinuxOptions>,
    pub runtime_class: Option<&'p str>,
    /// Annotations that get another value than they have.
    pub annotations: SmallVec<[(String, Cow<'p, str>); 1]>,
    /// One for each container, in the order of [`Spec::all_containers`].
    pub containers: SmallVec<[ContainerOverlay; 3]>,
}

/// The defaults for one container.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ContainerOverlay {
    pub run_as_user: Option<i64>,
    pub run_as_group: Option<i64>,
    pub run_as_non_root: Option<bool>,
    pub read_only_root_filesystem: Option<bool>,
    pub allow_privilege_escalation: Option<bool>,
    pub capabilities: Option<Arc<CapabilityLists>>,
}

/// Capabilities, sorted. An empty list is left out, as Go's nil.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CapabilityLists {
    pub add: Vec<String>,
    pub drop: Vec<String>,
}

impl Overlay<'_> {
    /// An overlay that changes nothing, for a pod of so many containers.
    pub(super) fn none(containers: usize) -> Self {
        let mut overlay = Self::default();
        overlay.containers.resize_with(containers, ContainerOverlay::default);
        overlay
    }

    /// Whether the pod stays as it is.
    pub(super) fn is_empty(&self) -> bool {
        let Overlay { supplemental_group, fs_group, se_linux, runtime_class, annotations, containers } = self;
        supplemental_group.is_none()
            && fs_group.is_none()
            && se_linux.is_none()
            && runtime_class.is_none()
            && annotations.is_empty()
            && containers.iter().all(|container| *container == ContainerOverlay::default())
    }

    /// Whether the pod's own security context changes.
    pub(super) fn touches_pod_context(&self) -> bool {
        self.supplemental_group.is_some() || self.fs_group.is_some() || self.se_linux.is_some()
    }

    /// Makes the changes.
    pub(super) fn apply(self, pod: &mut PodView<'_>) {
        for (key, value) in &self.annotations {
            pod.annotate(key, value.to_string());
        }
        let Some(spec) = &mut pod.spec else { return };
        if self.touches_pod_context() {
            let context = spec.security_context.get_or_insert_default();
            if let Some(group) = self.supplemental_group {
                context.supplemental_groups = Some(vec![group]);
            }
            context.fs_group = self.fs_group.or(context.fs_group);
            if let Some(options) = self.se_linux {
                context.se_linux_options = Some(owned_se_linux(options));
            }
        }
        if let Some(class) = self.runtime_class {
            spec.runtime_class_name = Some(class.to_owned().into());
        }
        for (container, overlay) in spec.all_containers_mut().zip(self.containers) {
            if overlay != ContainerOverlay::default() {
                overlay.apply(container);
            }
        }
    }
}

impl ContainerOverlay {
    fn apply(self, container: &mut Container<'_>) {
        let context = container.security_context.get_or_insert_default();
        context.run_as_user = self.run_as_user.or(context.run_as_user);
        context.run_as_group = self.run_as_group.or(context.run_as_group);
        context.run_as_non_root = self.run_as_non_root.or(context.run_as_non_root);
        context.read_only_root_filesystem =
            self.read_only_root_filesystem.or(context.read_only_root_filesystem);
        context.allow_privilege_escalation =
            self.allow_privilege_escalation.or(context.allow_privilege_escalation);
        if let Some(lists) = self.capabilities {
            let CapabilityLists { add, drop } = &*lists;
            let list = |names: &[String]| {
                (!names.is_empty()).then(|| names.iter().map(|name| name.clone().into()).collect())
            };
            context.capabilities = Some(Capabilities { add: list(add), drop: list(drop) });
        }
    }
}

fn owned_se_linux(options: &SeLinuxOptions) -> SeLinux<'static> {
    let SeLinuxOptions { user, role, type_, level } = options.clone();
    SeLinux { user: user.into(), role: role.into(), type_: type_.into(), level: level.into() }
}

/// A pod with an overlay: what the pod would be if the changes were made.
#[derive(Debug)]
pub(super) struct Merged<'v, 'a, 'p> {
    pub pod: &'v PodView<'a>,
    pub spec: &'v Spec<'a>,
    pub overlay: Overlay<'p>,
}

/// SELinux options as they are in effect.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeLinuxInEffect<'x> {
    pub user: &'x str,
    pub role: &'x str,
    pub type_: &'x str,
    pub level: &'x str,
}

impl<'a> Merged<'_, 'a, '_> {
    pub(super) fn context(&self) -> Option<&PodSecurityContext<'a>> {
        self.spec.security_context.as_ref()
    }

    /// The value of an annotation; of one that is not there, the empty string, as in Go.
    pub(super) fn annotation(&self, key: &str) -> &str {
        let changed = self.overlay.annotations.iter().find(|(other, _)| other == key);
        changed.map_or_else(|| self.pod.annotation(key), |(_, value)| value)
    }

    /// The value of the annotation that is called `prefix` and `name` in one.
    pub(super) fn annotation_of(&self, prefix: &str, name: &str) -> Option<&str> {
        let changed = self.overlay.annotations.iter().find(|(key, _)| key.strip_prefix(prefix) == Some(name));
        match changed {
            Some((_, value)) => Some(value),
            None => self.pod.annotations()?.get_of(prefix, name),
        }
    }

    pub(super) fn se_linux(&self) -> Option<SeLinuxInEffect<'_>> {
        if let Some(SeLinuxOptions { user, role, type_, level }) = self.overlay.se_linux {
            return Some(SeLinuxInEffect { user, role, type_, level });
        }
        self.context().and_then(|context| context.se_linux_options.as_ref()).map(in_effect)
    }

    /// The SELinux options of a container: its own, or else the pod's.
    pub(super) fn container_se_linux<'x>(
        &'x self,
        container: &'x Container<'a>,
    ) -> Option<SeLinuxInEffect<'x>> {
        let own = container.security_context.as_ref().and_then(|context| context.se_linux_options.as_ref());
        own.map(in_effect).or_else(|| self.se_linux())
    }

    pub(super) fn run_as_user(&self, index: usize, container: &Container<'_>) -> Option<i64> {
        self.overlaid(index, |overlay| overlay.run_as_user)
            .or_else(|| container.security_context.as_ref().and_then(|context| context.run_as_user))
            .or_else(|| self.context().and_then(|context| context.run_as_user))
    }

    pub(super) fn run_as_group(&self, index: usize, container: &Container<'_>) -> Option<i64> {
        self.overlaid(index, |overlay| overlay.run_as_group)
            .or_else(|| container.security_context.as_ref().and_then(|context| context.run_as_group))
            .or_else(|| self.context().and_then(|context| context.run_as_group))
    }

    pub(super) fn run_as_non_root(&self, index: usize, container: &Container<'_>) -> Option<bool> {
        self.overlaid(index, |overlay| overlay.run_as_non_root)
            .or_else(|| container.security_context.as_ref().and_then(|context| context.run_as_non_root))
            .or_else(|| self.context().and_then(|context| context.run_as_non_root))
    }

    pub(super) fn read_only_root_filesystem(&self, index: usize, container: &Container<'_>) -> Option<bool> {
        self.overlaid(index, |overlay| overlay.read_only_root_filesystem).or_else(|| {
            container.security_context.as_ref().and_then(|context| context.read_only_root_filesystem)
        })
    }

    pub(super) fn allow_privilege_escalation(&self, index: usize, container: &Container<'_>) -> Option<bool> {
        self.overlaid(index, |overlay| overlay.allow_privilege_escalation).or_else(|| {
            container.security_context.as_ref().and_then(|context| context.allow_privilege_escalation)
        })
    }

    fn overlaid<T>(&self, index: usize, value: impl Fn(&ContainerOverlay) -> Option<T>) -> Option<T> {
        self.overlay.containers.get(index).and_then(value)
    }
}

fn in_effect<'x>(options: &'x SeLinux<'_>) -> SeLinuxInEffect<'x> {
    SeLinuxInEffect { user: &options.user, role: &options.role, type_: &options.type_, level: &options.level }
}
