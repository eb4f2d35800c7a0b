//! Settings, as the program takes them.

use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gavel-node"));
    let Output { status, stdout, stderr } = command.args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn what_is_wrong_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.yaml");
    std::fs::write(&file, "servers: [a:1]\nqueue: 99999\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, _, err) = run(&["--config", file]);
    assert_eq!(code, Some(2), "{err}");
    for part in ["servers: there is no such setting; is `server` meant?", "queue", "99999"] {
        assert!(err.contains(part), "{part} is not in {err}");
    }
    for (arguments, part) in [
        (&[][..], "--server ADDR must be given"),
        (&["--server=a:1", "--admin-listen=0.0.0.0:1"], "--admin-insecure"),
        (&["--server=a:1", "--client-cert=x", "--server-ca=y"], "--client-cert and --client-key go together"),
        (&["--server=a:1", "--node-name="], "--node-name must not be empty"),
        (&["--server=a:1", "--flow-log=off", "--flow-log-to=x"], "--flow-log-to goes with"),
        (&["--server=a:1", "--on-unavailable=perhaps"], "deny, allow"),
        (&["--server=a:1", "--queues=0"], "1..=64"),
    ] {
        let (code, out, err) = run(arguments);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}: {err}");
        assert!(err.contains(part), "{part} is not in {err}");
    }
}

#[test]
fn what_is_set_is_printed_and_read_again() {
    let flags = [
        "--server=127.0.0.1:9470,unix:/run/gavel.sock",
        "--node-name=node-1",
        "--on-unavailable=allow",
        "--other-protocols=allow",
        "--reverse-path=all",
        "--cut-connections",
        "--queues=4",
        "--cni-socket=/run/gavel/node.sock",
        "--print-config",
    ];
    let (code, printed, err) = run(&flags);
    assert_eq!(code, Some(0), "{err}");
    assert!(printed.contains("on-unavailable: \"allow\" # flag --on-unavailable\n"), "{printed}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("printed.yaml");
    std::fs::write(&file, &printed).unwrap();
    let (code, again, err) = run(&["--config", file.to_str().unwrap(), "--print-config"]);
    assert_eq!(code, Some(0), "{err}");
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split(" # ").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(values(&again), values(&printed));
}

#[test]
fn files_are_checked() {
    let (code, _, err) = run(&[
        "--server=127.0.0.1:1",
        "--server-ca=/nowhere/ca.crt",
        "--token-file=/nowhere/token",
        "--check-config",
    ]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("/nowhere/ca.crt"), "{err}");
}

/// `GAVEL_WRITE_GOLDEN=1 cargo test -p gavel-node` writes it anew.
#[test]
fn the_manual_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/gavel-node.md");
    let manual = format!(
        "# Settings of gavel-node\n\nEach is a flag (`--setting`), a variable, and a key of the YAML file of `--config`; \
         flags win over variables over the file. Variables separate the values of a list by commas. A switch that is on in \
         the file is off with `--switch=false`, or `false` in its variable. This page is made from the program; \
         [client/node](../client/node/README.md) tells what it does.\n\n`--check-config` checks everything and ends, with 0 \
         or 2: the values; then, once these can be read, what cannot go together, the files that are named, and the \
         programs that are needed. Each time all that is wrong is told, with line and column, variable, or flag. Nothing is \
         bound, no rule is written, and nobody is asked. `--print-config` prints the settings in effect, as a file for \
         `--config`, with where each comes from.\n\n{}",
        gavel_config::manual(gavel_node::config::command())
    );
    if std::env::var_os("GAVEL_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &manual).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        manual == kept,
        "docs/gavel-node.md is old: GAVEL_WRITE_GOLDEN=1 cargo test -p gavel-node settings"
    );
}
