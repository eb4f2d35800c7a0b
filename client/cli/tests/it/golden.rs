//! The text for people, to the letter. `GAVEL_WRITE_GOLDEN=1 cargo test -p gavel-cli` writes it anew.

use std::path::Path;

use crate::support::Folder;

#[track_caller]
fn golden(name: &str, arguments: &[&str]) {
    let said = Folder::new().ask(arguments);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("GAVEL_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &said.out).unwrap();
    }
    assert_eq!(said.out, std::fs::read_to_string(&path).unwrap(), "{name}: {}", said.err);
}

#[test]
fn admissions() {
    golden("admit.txt", &["admit", "-f", "workloads.yaml"]);
    golden("admit-validate.txt", &["admit", "-f", "workloads.yaml", "--phase", "validate"]);
    golden("admit-explain.txt", &["admit", "-f", "workloads.yaml", "--explain"]);
    golden(
        "admit-nobody.txt",
        &["admit", "-f", "workloads.yaml", "--namespace", "shop", "--as", "alice", "-f", "manifests"],
    );
}

#[test]
fn flows() {
    let ask = |from: &'static str, port: &'static str| {
        ["check-flow", "--from", from, "--to", "shop/StatefulSet/db", "--port", port]
    };
    golden("flow-allowed.txt", &ask("shop/Deployment/web", "5432"));
    golden("flow-denied.txt", &ask("shop/stranger", "5432"));
    golden("flow-explained.txt", &[&ask("shop/Deployment/web", "80")[..], &["--explain"]].concat());
}
