//! Settings, as the program takes them.

use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_gavel-webhook")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_file_of_settings() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = path(
        "good.yaml",
        "server: ['127.0.0.1:9470', '127.0.0.1:9480']\ntls-cert: a.crt\ntls-key: a.key\non-unavailable: allow\n",
    );
    let (code, out, err) = run(&["--config", &good, "--on-unavailable", "deny", "--print-config"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("on-unavailable: \"deny\" # flag --on-unavailable\n"), "{out}");
    assert!(out.contains(&format!("server: [\"127.0.0.1:9470\", \"127.0.0.1:9480\"] # {good}:1\n")), "{out}");
    let printed = path("printed.yaml", &out);
    let (code, again, err) = run(&["--config", &printed, "--print-config"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(again.contains("server: [\"127.0.0.1:9470\", \"127.0.0.1:9480\"] #"), "{again}");
    // What goes together goes together in the file, too.
    let half = path("half.yaml", "server: '127.0.0.1:9470'\ntls-cert: a.crt\n");
    let (code, _, err) = run(&["--config", &half]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("--tls-key"), "{err}");
    let bad = path("bad.yaml", "servers: [a:1]\nlisten: nowhere\n");
    let (code, _, err) = run(&["--config", &bad]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("bad.yaml:1: servers: there is no such setting; is `server` meant?"), "{err}");
    assert!(err.contains("bad.yaml:2: listen: invalid value 'nowhere'"), "{err}");
    // Files that it names.
    let (code, _, err) = run(&["--config", &good, "--check-config"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("a.crt"), "{err}");
    let folder = folder.path().to_str().unwrap();
    let (code, _, err) = run(&["issue-certificate", "--out", folder, "--dns-name", "localhost"]);
    assert_eq!(code, Some(0), "{err}");
    let (cert, key) = (format!("--tls-cert={folder}/tls.crt"), format!("--tls-key={folder}/tls.key"));
    let (code, out, err) = run(&["--config", &good, &cert, &key, "--check-config"]);
    assert_eq!((code, out.as_str()), (Some(0), "configuration is valid\n"), "{err}");
}

/// `GAVEL_WRITE_GOLDEN=1 cargo test -p gavel-webhook` writes it anew.
#[test]
fn the_manual_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/gavel-webhook.md");
    let manual = format!(
        "# Settings of gavel-webhook\n\nEach is a flag (`--setting`), a variable, and a key of the YAML file of `--config`; \
         flags win over variables over the file. `--check-config` checks them all, with the files they name; \
         `--print-config` prints those in effect, as a file, with where each comes from. Variables separate the values of \
         a list by commas. This page is made from the program.\n\n{}",
        gavel_config::manual(gavel_webhook::config::command())
    );
    if std::env::var_os("GAVEL_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &manual).unwrap();
    }
    assert_eq!(manual, std::fs::read_to_string(&path).unwrap());
}
