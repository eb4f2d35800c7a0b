//! `gavel crd`: Gavel's own PodSecurityPolicy resource, for clusters that no longer have Kubernetes'.

use clap::Args;
use gavel_engine::object::pod_security_policy::{CRD_GROUP, schema};
use serde_json::{Value, json};

use crate::outcome::Outcome;

/// What to print it as.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How to print the definition
    #[arg(long, short, value_name = "FORMAT", default_value = "yaml")]
    output: Output,
}

/// Forms of a manifest.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Output {
    /// A manifest to keep
    Yaml,
    /// One JSON document
    Json,
}

const HEADER: &str = "\
# PodSecurityPolicy for clusters that no longer have Kubernetes' own, with the spec of policy/v1beta1.
# Written by `gavel crd` from the type that Gavel reads policies into: change that, not this file.
";

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let definition = definition();
    let text = match arguments.output {
        Output::Yaml => format!("{HEADER}{}", serde_saphyr::to_string(&definition)?),
        Output::Json => serde_json::to_string(&definition)? + "\n",
    };
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())?;
    Ok(Outcome::Yes)
}

/// The CustomResourceDefinition. `status` there is none; unknown fields are dropped, or refused where the caller asks
/// for strict validation, as kubectl does.
fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("podsecuritypolicies.{CRD_GROUP}") },
        "spec": {
            "group": CRD_GROUP,
            "names": {
                "kind": "PodSecurityPolicy",
                "listKind": "PodSecurityPolicyList",
                "plural": "podsecuritypolicies",
                "shortNames": ["psp"],
                "singular": "podsecuritypolicy",
            },
            "preserveUnknownFields": false,
            "scope": "Cluster",
            "versions": [{
                "additionalPrinterColumns": columns(),
                "name": "v1",
                "schema": { "openAPIV3Schema": object() },
                "served": true,
                "storage": true,
            }],
        },
    })
}

/// A whole object: `metadata` is checked by the API server itself.
fn object() -> Value {
    json!({
        "description": "PodSecurityPolicy governs the ability to make requests that affect the Security Context that \
                        will be applied to a pod and container. AppArmor and seccomp profiles are allowed by \
                        annotations, as in policy/v1beta1.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": { "type": "object" },
            "spec": schema::spec(),
        },
    })
}

/// The table of `kubectl get psp`. From `pkg/printers/internalversion/printers.go` of Kubernetes v1.24,
/// `podSecurityPolicyColumnDefinitions`.
fn columns() -> Vec<Value> {
    [
        ("Priv", "boolean", ".spec.privileged"),
        ("Caps", "string", ".spec.allowedCapabilities"),
        ("SELinux", "string", ".spec.seLinux.rule"),
        ("RunAsUser", "string", ".spec.runAsUser.rule"),
        ("FsGroup", "string", ".spec.fsGroup.rule"),
        ("SupGroup", "string", ".spec.supplementalGroups.rule"),
        ("ReadOnlyRootFs", "boolean", ".spec.readOnlyRootFilesystem"),
        ("Volumes", "string", ".spec.volumes"),
    ]
    .into_iter()
    .map(|(name, kind, path)| json!({ "jsonPath": path, "name": name, "type": kind }))
    .collect()
}
