//! Certificates in files: issued, served, and followed as they change.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use gavel_webhook::Config;

use crate::support::{POLICIES, Server, Webhook, connect, issue, nobody, nonroot, review};

const GOOD: &str = "gavel_webhook_tls_reloads_total";
const BAD: &str = "gavel_webhook_tls_reload_failures_total";

#[tokio::test]
async fn issued_into_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/folder");
    let read = |name: &str| std::fs::read(out.join(name)).unwrap();
    assert!(issue(&out, "gavel.test").await.contains("issued a certificate for gavel.test (there was none)"));
    let first = ["ca.crt", "tls.crt", "tls.key"].map(read);
    let mode = std::fs::metadata(out.join("tls.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Once more: nothing changes.
    assert!(issue(&out, "gavel.test").await.contains("is good, and stays"));
    assert_eq!(["ca.crt", "tls.crt", "tls.key"].map(read), first);
    // For another name: a new one, and both authorities are trusted.
    assert!(issue(&out, "127.0.0.1").await.contains("not good for 127.0.0.1"));
    let text = String::from_utf8(read("ca.crt")).unwrap();
    assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 2);
    assert!(text.ends_with(std::str::from_utf8(&first[0]).unwrap()));
    // What was damaged is made anew.
    std::fs::write(out.join("tls.key"), "nonsense").unwrap();
    assert!(issue(&out, "127.0.0.1").await.contains("the private key cannot be read"));
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 3, "nothing is left lying about");
}

#[tokio::test]
async fn followed_as_they_change() {
    let server = Server::start(POLICIES).await;
    let webhook = Webhook::start(&[server.address()]).await;
    let ask = async || webhook.post("/validate", &review(&nonroot()).to_string()).await.response();
    let expiry = webhook.metric("gavel_webhook_tls_certificate_expiry_timestamp_seconds").await;
    assert!(expiry > 1.7e9, "{expiry}");
    assert_eq!(ask().await["allowed"], true);
    let old_authority = std::fs::read(webhook.file("ca.crt")).unwrap();
    let other = tempfile::tempdir().unwrap();
    issue(other.path(), "127.0.0.1").await;
    let replace = |name: &str| {
        // As a Secret is mounted: a link that is switched.
        let link = webhook.file("link");
        std::os::unix::fs::symlink(other.path().join(name), &link).unwrap();
        std::fs::rename(link, webhook.file(name)).unwrap();
    };

    // Half of it: the old pair goes on being served, and it is counted once.
    replace("tls.key");
    until(&webhook, BAD, 1.0).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!((webhook.metric(BAD).await, webhook.metric(GOOD).await), (1.0, 0.0));
    assert_eq!(ask().await["allowed"], true);

    // The other half.
    replace("tls.crt");
    until(&webhook, GOOD, 1.0).await;
    replace("ca.crt");
    assert_eq!(ask().await["allowed"], true);
    connect(webhook.running.listening, &old_authority, &[]).await.unwrap_err();

    // Gone, and nonsense: the last good one stays.
    std::fs::remove_file(webhook.file("tls.crt")).unwrap();
    until(&webhook, BAD, 2.0).await;
    std::fs::write(webhook.file("tls.crt"), "nonsense").unwrap();
    until(&webhook, BAD, 3.0).await;
    assert_eq!(ask().await["allowed"], true);
    webhook.stop().await;
}

async fn until(webhook: &Webhook, series: &str, value: f64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while webhook.metric(series).await < value {
        assert!(Instant::now() < deadline, "{series} never became {value}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn not_started_with_what_cannot_be_served() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    issue(one.path(), "127.0.0.1").await;
    issue(two.path(), "127.0.0.1").await;
    let cases = [
        (one.path().join("tls.crt"), two.path().join("tls.key"), "do not belong together"),
        (one.path().join("missing"), one.path().join("tls.key"), "missing"),
        (one.path().join("tls.key"), one.path().join("tls.key"), "there is no certificate"),
        (one.path().join("tls.crt"), one.path().join("tls.crt"), "there is no private key"),
    ];
    for (certificate, key, part) in cases {
        let config = Config::local(vec![nobody().await], certificate, key);
        let error = format!("{:#}", gavel_webhook::start(config).await.unwrap_err());
        assert!(error.contains(part) && error.contains("--tls-cert"), "{error}");
    }
}
