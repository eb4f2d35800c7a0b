//! From an overlay to an RFC 6902 JSON Patch against the object as it came.
//!
//! Parents that the object lacks are made first. `add` also replaces what is there, and `null` counts as absent.

use serde_json::{Value, json};

use super::PatchOperation;
use super::controls::seccomp;
use super::overlay::{CapabilityLists, ContainerOverlay, Merged, Overlay};
use super::pod::{Place, PodView, Profile, Spec};
use crate::object::pod_security_policy::SeLinuxOptions;

/// The annotation that tells which policy was chosen.
pub(super) const CHOSEN: &str = "kubernetes.io/psp";

/// The operations that make the overlay's changes, and, if a policy is chosen, name it; then, if need be, those that set
/// the fields that seccomp annotations stand for.
pub(super) fn patch(
    pod: &PodView<'_>,
    spec: &Spec<'_>,
    overlay: &Overlay<'_>,
    chosen: Option<&str>,
    sets_seccomp_fields: bool,
) -> Vec<PatchOperation> {
    let mut patch = Patch(Vec::with_capacity(8));
    let named = chosen
        .filter(|name| pod.annotations().and_then(|annotations| annotations.get(CHOSEN)) != Some(*name));
    let annotations = overlay.annotations.iter().map(|(key, value)| (key.as_str(), value.as_ref()));
    patch.annotations(pod, annotations.chain(named.map(|name| (CHOSEN, name))));
    if overlay.touches_pod_context() {
        patch.parent(spec.security_context.is_some(), "/spec/securityContext");
        if let Some(group) = overlay.supplemental_group {
            patch.add("/spec/securityContext/supplementalGroups", json!([group]));
        }
        if let Some(group) = overlay.fs_group {
            patch.add("/spec/securityContext/fsGroup", json!(group));
        }
        if let Some(options) = overlay.se_linux {
            patch.add("/spec/securityContext/seLinuxOptions", se_linux(options));
        }
    }
    if let Some(class) = overlay.runtime_class {
        patch.add("/spec/runtimeClassName", json!(class));
    }
    for ((place, container), changes) in spec.all_containers().zip(&overlay.containers) {
        if *changes != ContainerOverlay::default() {
            patch.container(place, container.security_context.is_some(), changes);
        }
    }
    if sets_seccomp_fields {
        patch.seccomp_fields(pod, spec, overlay);
    }
    patch.0
}

struct Patch(Vec<PatchOperation>);

impl Patch {
    fn add(&mut self, path: impl Into<String>, value: Value) {
        self.0.push(PatchOperation { op: "add", path: path.into(), value: Some(value) });
    }

    fn parent(&mut self, exists: bool, path: &str) {
        if !exists {
            self.add(path, json!({}));
        }
    }

    fn annotations<'x>(&mut self, pod: &PodView<'_>, annotations: impl Iterator<Item = (&'x str, &'x str)>) {
        let mut made = false;
        for (key, value) in annotations {
            if !made {
                self.parent(pod.metadata.is_some(), "/metadata");
                self.parent(pod.annotations().is_some(), "/metadata/annotations");
                made = true;
            }
            self.add(annotation_path(key), Value::String(value.to_owned()));
        }
    }

    /// `applySeccompVersionSkew` of `pkg/registry/core/pod/strategy.go`, from annotations to fields; the other way round
    /// is every policy's own doing.
    fn seccomp_fields(&mut self, pod: &PodView<'_>, spec: &Spec<'_>, overlay: &Overlay<'_>) {
        let merged = Merged { pod, spec, overlay: overlay.clone() };
        if let Some(profile) = seccomp::missing_field_of_pod(&merged) {
            let has_context = spec.security_context.is_some() || overlay.touches_pod_context();
            self.parent(has_context, "/spec/securityContext");
            self.add("/spec/securityContext/seccompProfile", seccomp_profile(&profile));
        }
        for ((place, container), changes) in spec.all_containers().zip(&overlay.containers) {
            if let Some(profile) = seccomp::missing_field_of(container, &merged) {
                let Place { list, index } = place;
                let context = format!("/spec/{list}/{index}/securityContext");
                let has_context =
                    container.security_context.is_some() || *changes != ContainerOverlay::default();
                self.parent(has_context, &context);
                self.add(format!("{context}/seccompProfile"), seccomp_profile(&profile));
            }
        }
    }

    fn container(&mut self, place: Place, has_context: bool, changes: &ContainerOverlay) {
        let Place { list, index } = place;
        let context = format!("/spec/{list}/{index}/securityContext");
        self.parent(has_context, &context);
        let ContainerOverlay {
            run_as_user,
            run_as_group,
            run_as_non_root,
            read_only_root_filesystem,
            allow_privilege_escalation,
            capabilities,
        } = changes;
        let fields = [
            ("runAsUser", run_as_user.map(|id| json!(id))),
            ("runAsGroup", run_as_group.map(|id| json!(id))),
            ("runAsNonRoot", run_as_non_root.map(|yes| json!(yes))),
            ("readOnlyRootFilesystem", read_only_root_filesystem.map(|yes| json!(yes))),
            ("allowPrivilegeEscalation", allow_privilege_escalation.map(|yes| json!(yes))),
            ("capabilities", capabilities.as_deref().map(capability_lists)),
        ];
        for (field, value) in fields {
            if let Some(value) = value {
                self.add([&context, "/", field].concat(), value);
            }
        }
    }
}

/// `~` and `/` of the key as RFC 6901 has them.
fn annotation_path(key: &str) -> String {
    const PARENT: &str = "/metadata/annotations/";
    let mut path = String::with_capacity(PARENT.len() + key.len() + 4);
    path.push_str(PARENT);
    for c in key.chars() {
        match c {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            c => path.push(c),
        }
    }
    path
}

fn seccomp_profile(profile: &Profile<'_>) -> Value {
    let mut field = json!({"type": &*profile.type_});
    if let Some(localhost) = &profile.localhost_profile {
        field["localhostProfile"] = json!(&**localhost);
    }
    field
}

fn capability_lists(lists: &CapabilityLists) -> Value {
    let mut fields = serde_json::Map::new();
    for (field, names) in [("add", &lists.add), ("drop", &lists.drop)] {
        if !names.is_empty() {
            let names = names.iter().map(|name| Value::String(name.clone()));
            fields.insert(field.to_owned(), names.collect());
        }
    }
    Value::Object(fields)
}

/// Empty parts are left out, as Go's encoder leaves them out.
fn se_linux(options: &SeLinuxOptions) -> Value {
    let SeLinuxOptions { user, role, type_, level } = options;
    let parts = [("user", user), ("role", role), ("type", type_), ("level", level)];
    let fields = parts.into_iter().filter(|(_, value)| !value.is_empty());
    Value::Object(fields.map(|(part, value)| (part.to_owned(), json!(value))).collect())
}
