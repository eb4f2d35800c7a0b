//! What `deploy` installs: the CRD is the one that `gavel crd` prints, every manifest can be read, and Gavel itself
//! admits its own pods by the example policy and lets only the webhook reach the server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Folder, Said};

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

fn text(path: &str) -> String {
    deploy(path).to_str().unwrap().to_owned()
}

fn run(arguments: &[&str]) -> Said {
    Folder::new().run(arguments, "")
}

/// `GAVEL_WRITE_GOLDEN=1 cargo test -p gavel-cli` writes it anew.
#[test]
fn the_crd_is_as_printed() {
    let said = run(&["crd"]);
    let path = deploy("crds/podsecuritypolicies.policy.gavel.dev.yaml");
    if std::env::var_os("GAVEL_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &said.out).unwrap();
    }
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(said.out, std::fs::read_to_string(&path).unwrap());
}

#[test]
fn the_crd_is_the_same_in_json() {
    let json = run(&["crd", "--output", "json"]);
    assert_eq!(documents("crd.yaml", &run(&["crd"]).out), json.documents());
}

fn documents(name: &str, text: &str) -> Vec<Value> {
    gavel_source::manifests::documents(text.as_bytes(), name)
        .into_iter()
        .map(|document| document.unwrap().item)
        .collect()
}

/// Every YAML file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Files that are patches of kustomize: lists, not objects.
const PATCHES: [&str; 2] = ["cert-manager/inject-ca.yaml", "cert-manager/webhook.yaml"];

#[test]
fn every_manifest_can_be_read() {
    let mut kinds = BTreeSet::new();
    for file in files(&deploy("kubernetes")).into_iter().chain(files(&deploy("crds"))) {
        let name = file.to_str().unwrap();
        let content = std::fs::read_to_string(&file).unwrap();
        let is_patch = PATCHES.iter().any(|patch| name.ends_with(patch));
        for document in documents(name, &content) {
            assert_eq!(document.is_array(), is_patch, "{name}");
            if let Some(kind) = document["kind"].as_str() {
                assert!(document["apiVersion"].is_string(), "{name}: {kind}");
                kinds.insert(kind.to_owned());
            }
        }
        if !is_patch {
            let reading = gavel_source::manifests::parse(content.as_bytes(), name);
            assert!(reading.errors.is_empty(), "{:?}", reading.errors);
            assert!(reading.warnings.is_empty(), "{:?}", reading.warnings);
        }
    }
    for kind in ["CustomResourceDefinition", "Deployment", "NetworkPolicy", "ValidatingWebhookConfiguration"]
    {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
}

/// Each file beside a kustomization is one of its resources or patches: none is forgotten.
#[test]
fn kustomizations_are_whole() {
    let mut checked = 0;
    for file in files(&deploy("kubernetes")).into_iter().chain(files(&deploy("crds"))) {
        let folder = file.parent().unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let kustomization = folder.join("kustomization.yaml");
        let content = std::fs::read_to_string(&kustomization).unwrap();
        let document = documents("kustomization.yaml", &content).remove(0);
        if name == "kustomization.yaml" {
            for resource in document["resources"].as_array().unwrap() {
                let path = folder.join(resource.as_str().unwrap());
                assert!(path.is_file() || path.join("kustomization.yaml").is_file(), "{}", path.display());
                checked += 1;
            }
            continue;
        }
        let resources = document["resources"].as_array().into_iter().flatten();
        let patches = document["patches"].as_array().into_iter().flatten().map(|patch| &patch["path"]);
        assert!(
            resources.chain(patches).any(|listed| listed == name),
            "{} is listed nowhere",
            file.display()
        );
    }
    assert!(checked > 15, "{checked}");
}

#[test]
fn its_own_pods_are_admitted_by_the_example_policy() {
    let said = run(&[
        "admit",
        "--manifests",
        &text("kubernetes/examples"),
        &text("kubernetes/base"),
        "-f",
        &text("kubernetes/base/server.yaml"),
        &text("kubernetes/base/webhook.yaml"),
        &text("kubernetes/base/server-certificate.yaml"),
        "--output",
        "json",
    ]);
    assert_eq!(said.code, 0, "{}\n{}", said.out, said.err);
    let reviews = said.documents();
    assert_eq!(reviews.len(), 4, "{}", said.out);
    for review in reviews {
        let response = &review["response"];
        assert_eq!(response["allowed"], true, "{response}");
        let policy = &response["auditAnnotations"]["podsecuritypolicy.policy.k8s.io/validate-policy"];
        assert_eq!(policy, "restricted", "{response}");
    }
}

/// The example would not be one if it admitted everything.
#[test]
fn the_example_policy_refuses_a_privileged_pod() {
    let folder = Folder::new();
    let pod = folder.write(
        "privileged.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec:\n  containers:\n  \
         - {name: c, image: i, securityContext: {privileged: true}}\n",
    );
    let examples = text("kubernetes/examples");
    let ask =
        |user: &[&str]| folder.run(&[&["admit", "--manifests", &examples, "-f", &pod], user].concat(), "");
    let refused = ask(&["--as", "alice", "--as-group", "system:authenticated"]);
    assert_eq!(refused.code, 1, "{}\n{}", refused.out, refused.err);
    assert!(refused.out.contains("Privileged containers are not allowed"), "{}", refused.out);
}

#[test]
fn only_the_webhook_reaches_the_server() {
    let folder = Folder::new();
    let stranger = folder.write(
        "stranger.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: stranger, namespace: shop}\nspec: {containers: []}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {name: scraper, namespace: gavel-system}\nspec: {containers: []}\n",
    );
    let base = text("kubernetes/base");
    let code = |from: &str, to: &str, port: &str| {
        let said = folder.run(
            &["check-flow", "--manifests", &base, &stranger, "--from", from, "--to", to, "--port", port],
            "",
        );
        assert!(said.code < 2, "{}", said.err);
        said.code == 0
    };
    let (server, webhook) = ("gavel-system/Deployment/gavel-server", "gavel-system/Deployment/gavel-webhook");
    assert!(code(webhook, server, "9470"));
    assert!(!code("shop/stranger", server, "9470"));
    assert!(!code("gavel-system/scraper", server, "9470"));
    assert!(code("gavel-system/scraper", server, "9471"));
    assert!(!code("shop/stranger", server, "9471"));
    assert!(code("shop/stranger", webhook, "9443"));
    assert!(!code("shop/stranger", webhook, "9444"));
}
