//! Bindings, with the defaults of their versions.

use serde::Deserialize;

use crate::object::meta::{nullable, nullable_object, nullable_objects};
use crate::object::validate::rbac::GROUP;
use crate::object::{Binding, ObjectMeta, RoleRef, Subject};

/// A binding of `v1alpha1`, whose subjects had an `apiVersion`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BindingV1Alpha1 {
    #[serde(deserialize_with = "nullable_object")]
    metadata: ObjectMeta,
    #[serde(deserialize_with = "nullable_objects")]
    subjects: Vec<SubjectV1Alpha1>,
    #[serde(deserialize_with = "nullable_object")]
    role_ref: RoleRef,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SubjectV1Alpha1 {
    #[serde(deserialize_with = "nullable")]
    kind: String,
    #[serde(deserialize_with = "nullable")]
    api_version: String,
    #[serde(deserialize_with = "nullable")]
    name: String,
    #[serde(deserialize_with = "nullable")]
    namespace: String,
}

/// From `pkg/apis/rbac/v1/defaults.go`: the group of role, users and groups.
pub(super) fn with_defaults(mut binding: Binding) -> Binding {
    if binding.role_ref.api_group.is_empty() {
        binding.role_ref.api_group = GROUP.to_owned();
    }
    for subject in &mut binding.subjects {
        if subject.api_group.is_empty() && matches!(subject.kind.as_str(), "User" | "Group") {
            subject.api_group = GROUP.to_owned();
        }
    }
    binding
}

/// From `pkg/apis/rbac/v1alpha1/conversion.go`.
pub(super) fn from_v1alpha1(written: BindingV1Alpha1) -> Binding {
    let BindingV1Alpha1 { metadata, subjects, role_ref } = written;
    let subjects = subjects.into_iter().map(subject_from_v1alpha1).collect();
    with_defaults(Binding { metadata, subjects, role_ref })
}

fn subject_from_v1alpha1(written: SubjectV1Alpha1) -> Subject {
    let SubjectV1Alpha1 { kind, api_version, name, namespace } = written;
    // In this version alone the user `*` stood for everybody who is logged in.
    if kind == "User" && name == "*" {
        return Subject {
            kind: "Group".into(),
            api_group: GROUP.into(),
            name: "system:authenticated".into(),
            namespace,
        };
    }
    let api_group = match kind.as_str() {
        "ServiceAccount" => String::new(),
        "User" | "Group" => GROUP.to_owned(),
        _ => api_version.split_once('/').map(|(group, _)| group.to_owned()).unwrap_or_default(),
    };
    Subject { kind, api_group, name, namespace }
}
