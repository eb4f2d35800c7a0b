//! Objects that scenarios are made of.

use serde_json::{Value, json};

use super::control_plane::ControlPlane;

/// A user who may create whatever a namespace's editor may, and use no policy.
pub(crate) const STRANGER: &str = "stranger";

/// Makes a namespace in which [`STRANGER`] may edit, and waits until pods can be created in it.
pub(crate) async fn make_namespace(plane: &ControlPlane, name: &str) -> anyhow::Result<()> {
    plane.rest.create(&namespace(name)).await?;
    let_stranger_edit(plane, name).await?;
    plane.service_account(name).await
}

/// Lets [`STRANGER`] edit in a namespace.
pub(crate) async fn let_stranger_edit(plane: &ControlPlane, namespace: &str) -> anyhow::Result<()> {
    let stranger = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": STRANGER});
    plane.rest.create(&role_binding(namespace, "stranger-edits", "edit", &stranger)).await?;
    Ok(())
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

pub(crate) fn service_account(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": namespace, "name": name}})
}

/// A pod of one container `c`; fields of the spec are added, or take the place of those there.
pub(crate) fn pod(namespace: &str, name: &str, spec: Value) -> Value {
    let mut whole = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"containers": [{"name": "c", "image": "registry.example/image:1"}]},
    });
    overlay(&mut whole["spec"], spec);
    whole
}

pub(crate) fn deployment(namespace: &str, name: &str, replicas: u32, spec: Value) -> Value {
    let pod = pod(namespace, name, spec);
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod["spec"]},
        },
    })
}

/// A PodSecurityPolicy of Gavel's own group that lets everything unprivileged pass, but for what the fields say.
pub(crate) fn policy(name: &str, spec: Value) -> Value {
    policy_of("policy.gavel.dev/v1", name, spec)
}

/// A PodSecurityPolicy of any group.
pub(crate) fn policy_of(version: &str, name: &str, spec: Value) -> Value {
    let mut whole = json!({
        "apiVersion": version, "kind": "PodSecurityPolicy",
        "metadata": {"name": name},
        "spec": {
            "seLinux": {"rule": "RunAsAny"},
            "supplementalGroups": {"rule": "RunAsAny"},
            "runAsUser": {"rule": "RunAsAny"},
            "fsGroup": {"rule": "RunAsAny"},
            "volumes": ["*"],
        },
    });
    overlay(&mut whole["spec"], spec);
    whole
}

/// A ClusterRole whose bearers may use a policy.
pub(crate) fn use_role(name: &str, policy: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [{
            "apiGroups": ["policy"], "resources": ["podsecuritypolicies"],
            "resourceNames": [policy], "verbs": ["use"],
        }],
    })
}

/// Binds a ClusterRole in a namespace.
pub(crate) fn role_binding(namespace: &str, name: &str, role: &str, subject: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"namespace": namespace, "name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    })
}

pub(crate) fn service_account_subject(namespace: &str, name: &str) -> Value {
    json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
}

/// A policy, and all that lets a namespace's default service account use it.
pub(crate) fn granted_policy(namespace: &str, name: &str, spec: Value) -> [Value; 3] {
    let subject = service_account_subject(namespace, "default");
    [policy(name, spec), use_role(name, name), role_binding(namespace, name, name, &subject)]
}

/// Whether a user may do this cluster-wide to `RESOURCE` or `RESOURCE.GROUP`, by the API server's word. kubectl cannot ask
/// about resources that the API server does not serve, as Gavel's own.
pub(crate) async fn may(
    plane: &ControlPlane,
    user: &str,
    verb: &str,
    resource: &str,
) -> anyhow::Result<bool> {
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let account: Vec<&str> = user.split(':').collect();
    let groups = match account[..] {
        ["system", "serviceaccount", namespace, _] => {
            vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
        }
        _ => Vec::new(),
    };
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": groups, "resourceAttributes": {"verb": verb, "group": group, "resource": resource}},
    });
    Ok(plane.rest.create(&review).await?["status"]["allowed"] == true)
}

/// Adds fields to an object, in place of those of the same name.
fn overlay(object: &mut Value, fields: Value) {
    if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
        object.extend(fields);
    }
}
