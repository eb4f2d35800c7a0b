//! The program: its flags, its exit codes, its signals.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{FLOWS, binary};

/// Runs the server with arguments that it refuses: exit code and what it says.
fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(binary()).args(arguments).envs(environment.iter().copied()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Ends a child however the test ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_it_refuses_to_start_with() {
    let folder = tempfile::tempdir().unwrap();
    let manifests = folder.path().to_str().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let unknown = file("unknown.conf", "listen: [127.0.0.1:0]\nlisten-adress: 127.0.0.1:1\n");
    let nested = file("nested.conf", "listen: {tcp: 1}\n");
    let unreadable = file("unreadable.conf", "listen: [\n");
    let cases: &[(&[&str], &str)] = &[
        (&[], "--manifests"),
        (&["--manifests", manifests, "--cluster"], "goes without --manifests"),
        (&["--manifests", manifests, "--state-dir", manifests], "--state-dir goes with --cluster"),
        (&["--cluster", "--watch-seconds", "4"], "4 is not in 5..=3600"),
        (&["--cluster", "--kubeconfig", "/nonexistent/kubeconfig"], "/nonexistent/kubeconfig"),
        (&["--manifests", manifests, "--listen", "0.0.0.0:0"], "--insecure"),
        (&["--manifests", manifests, "--admin-listen", "0.0.0.0:0"], "--admin-insecure"),
        (&["--manifests", manifests, "--listen", "localhost"], "unix:PATH"),
        (&["--manifests", manifests, "--listen", "unix:"], "needs a path"),
        (&["--manifests", manifests, "--evaluators", "none,pod-security-policy"], "no other evaluator"),
        (&["--manifests", manifests, "--evaluators", "psp"], "pod-security-policy"),
        (&["--manifests", manifests, "--config", &unknown], "listen-adress: there is no such setting"),
        (&["--manifests", manifests, "--config", &nested], "listen: must be a single value"),
        (&["--manifests", manifests, "--config", &unreadable], "unreadable.conf"),
        (&["--manifests", manifests, "--config", "/nonexistent"], "/nonexistent"),
    ];
    for (arguments, part) in cases {
        let (code, text) = refused(arguments, &[]);
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}

#[test]
fn manifests_that_cannot_be_read_are_told_and_nothing_is_served() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.yaml"), "kind: Pod\napiVersion: v1\nmetadata: {name: 3}\n")
        .unwrap();
    let local = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    for path in [folder.path().to_str().unwrap(), "/nonexistent/manifests"] {
        let arguments = [&["--manifests", path], &local[..]].concat();
        let (code, text) = refused(&arguments, &[]);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(path), "{text}");
    }
}

#[test]
fn flags_win_over_environment_over_file_and_sigterm_drains() {
    let folder = tempfile::tempdir().unwrap();
    let manifests = folder.path().join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    std::fs::write(manifests.join("flows.yaml"), FLOWS).unwrap();
    let config = folder.path().join("gavel.conf");
    // The file alone would fail: its addresses are wrong on purpose.
    let text = format!(
        "manifests: [{}]\nlisten: 203.0.113.1:1\nadmin-listen: 203.0.113.1:1\nlog-format: json\n",
        manifests.display()
    );
    std::fs::write(&config, text).unwrap();
    let child = Command::new(binary())
        .args(["--config", config.to_str().unwrap(), "--listen", "127.0.0.1:0"])
        .env("GAVEL_ADMIN_LISTEN", "127.0.0.1:0")
        .env("GAVEL_LISTEN", "203.0.113.2:1")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Ended(child);
    let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
    let started: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(started["fields"]["message"], "started");
    assert!(started["fields"]["listening"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(lines.any(|line| line.unwrap().contains("snapshot")), "tells of the first snapshot");

    Command::new("kill").args(["-TERM", &child.0.id().to_string()]).status().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "SIGTERM did not end it");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{status:?}");
}
