//! The program: what it refuses to start with, and how it ends.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{connect, exchange, hanging, issue, nonroot, review, until_ready};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_gavel-webhook"))
}

/// Ends a child however the test ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn what_it_refuses_to_start_with() {
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path(), "127.0.0.1").await;
    let (crt, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let (crt, key) = (crt.to_str().unwrap(), key.to_str().unwrap());
    let tls =
        ["--tls-cert", crt, "--tls-key", key, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let with = |arguments: &[&'static str]| [&tls[..], arguments].concat();
    let cases = [
        (vec![], "--server"),
        (with(&[]), "--server"),
        (vec!["--server", "x:1"], "--self-issued"),
        (vec!["--server", "x:1", "--tls-cert", crt], "--tls-key"),
        (with(&["--server", "x:1", "--self-issued", "a/b"]), "cannot be used with"),
        (vec!["--server", "x:1", "--self-issued", "a/b"], "--dns-name"),
        (vec!["--server", "x:1", "--self-issued", "ab"], "NAMESPACE/NAME"),
        (with(&["--server", "nonsense"]), "HOST:PORT"),
        (with(&["--server", "x:1", "--on-unavailable", "maybe"]), "deny"),
        (with(&["--server", "x:1", "--max-request-bytes", "0"]), "0 is not in 1..="),
        (with(&["--server", "x:1", "--listen", "203.0.113.1:1"]), "cannot be used multiple times"),
        (with(&["--server", "x:1", "--log", "a=b=c"]), "--log"),
        (vec!["issue-certificate"], "--secret"),
        (vec!["issue-certificate", "--out", crt], "--dns-name"),
        (
            vec!["issue-certificate", "--out", "x", "--dns-name", "*.x"],
            "neither a DNS name nor an IP address",
        ),
        (vec!["issue-certificate", "--out", "x", "--dns-name", "x", "--days", "0"], "--days"),
    ];
    for (arguments, part) in cases {
        let output = program().args(&arguments).current_dir(folder.path()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
    let help = program().arg("--help").output().unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).contains("Examples:"));
    let issued = program()
        .args(["issue-certificate", "--out", "made", "--dns-name", "gavel.test"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(issued.status.success() && folder.path().join("made/ca.crt").exists(), "{issued:?}");
}

/// All that is wrong with how servers are to be asked, and who may ask, without asking anybody.
#[tokio::test]
async fn what_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path(), "127.0.0.1").await;
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("token", "two words");
    write("callers.crt", "nonsense");
    let check = |arguments: &[&str]| {
        let tls = ["--tls-cert", "tls.crt", "--tls-key", "tls.key", "--check-config"];
        let output = program().args(tls).args(arguments).current_dir(folder.path()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = check(&[
        "--server",
        "https://gavel.test:1",
        "gavel.test:2",
        "--token-file",
        "token",
        "--client-ca",
        "callers.crt",
    ]);
    assert_eq!(code, Some(2), "{text}");
    for part in
        ["https://gavel.test:1", "`gavel.test:2`: without TLS", "is no token", "--client-ca: callers.crt"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("two words"), "{text}");
    write("token", "abc");
    let good = [
        "--server",
        "gavel.test:2",
        "--token-file",
        "token",
        "--server-ca",
        "ca.crt",
        "--client-ca",
        "ca.crt",
    ];
    assert_eq!(check(&good), (Some(0), "configuration is valid\n".to_owned()));
}

/// Told to stop, it is not ready any more, answers what it was asked, and ends.
#[tokio::test]
async fn sigterm_lets_requests_in_flight_end() {
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path(), "127.0.0.1").await;
    let authorities = std::fs::read(folder.path().join("ca.crt")).unwrap();
    let (_hanging, server) = hanging().await;
    let child = program()
        .args(["--server", &server, "--admin-listen", "127.0.0.1:0", "--log-format", "json"])
        .args(["--tls-cert", folder.path().join("tls.crt").to_str().unwrap()])
        .args(["--on-unavailable", "allow"])
        .env("GAVEL_WEBHOOK_TLS_KEY", folder.path().join("tls.key"))
        .env("GAVEL_WEBHOOK_LISTEN", "127.0.0.1:0")
        .env("GAVEL_WEBHOOK_ON_UNAVAILABLE", "deny")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Ended(child);
    let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
    let started: serde_json::Value = lines
        .by_ref()
        .map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap())
        .find(|line| line["fields"]["message"] == "started")
        .unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    let address = |field: &str| started["fields"][field].as_str().unwrap().parse::<SocketAddr>().unwrap();
    let (listening, admin) = (address("listening"), address("admin"));
    until_ready(admin, true).await;

    let stream = connect(listening, &authorities, &[]).await.unwrap();
    let asking = tokio::spawn(async move {
        let head = "POST /validate?timeout=3s HTTP/1.1\r\nContent-Type: application/json\r\n";
        exchange(stream, head, &review(&nonroot()).to_string()).await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    Command::new("kill").args(["-TERM", &child.0.id().to_string()]).status().unwrap();
    let text = until_ready(admin, false).await;
    assert!(text.contains("[-] draining"), "{text}");
    let answer = asking.await.unwrap();
    assert_eq!(answer.response()["allowed"], true, "the flag won over the environment");
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "SIGTERM did not end it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(status.success(), "{status:?}");
}
