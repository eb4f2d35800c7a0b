//! Settings, as the program takes them: from flags, variables and a file; checked, printed, and described.

use std::path::Path;
use std::process::{Command, Output};

use gavel_server::Config;

use crate::certificates::{Authority, Subject};
use crate::support::binary;

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary());
    // Of the tests, not of the program.
    command.env_remove("GAVEL_WRITE_GOLDEN");
    command.args(arguments).envs(variables.iter().copied()).output().unwrap()
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A folder with a file of settings in it, and what it is called.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gavel.yaml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn each_source_wins_over_those_below() {
    let (_folder, path) = file("cluster: true\nmax-in-flight: 3000\ncaller-in-flight: 30\npoll-seconds: 3\n");
    let arguments = ["--config", &path, "--print-config", "--max-in-flight", "5000"];
    let variables = [("GAVEL_MAX_IN_FLIGHT", "4000"), ("GAVEL_CALLER_IN_FLIGHT", "40")];
    let (code, out, err) = texts(&run(&arguments, &variables));
    assert_eq!(code, Some(0), "{err}");
    for line in [
        "max-in-flight: 5000 # flag --max-in-flight".to_owned(),
        "caller-in-flight: 40 # environment GAVEL_CALLER_IN_FLIGHT".to_owned(),
        format!("poll-seconds: 3 # {path}:4"),
        "request-seconds: 60 # default".to_owned(),
        "# tls-cert: # not set".to_owned(),
    ] {
        assert!(out.lines().any(|printed| printed == line), "{line} is not in {out}");
    }
    // A switch of the file, switched off above it.
    for (flags, variables) in [
        (&["--cluster=false", "--manifests", "/"][..], &[][..]),
        (&["--manifests", "/"], &[("GAVEL_CLUSTER", "false")]),
    ] {
        let arguments = [&["--config", &path, "--print-config"], flags].concat();
        let (code, out, err) = texts(&run(&arguments, variables));
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains("cluster: false #"), "{out}");
    }
}

#[test]
fn what_is_printed_is_a_file_that_says_the_same() {
    let authority = Authority::new();
    let (cert, key, ca) = authority.server_files();
    let flags = [
        "--manifests=/a,/b".to_owned(),
        "--listen=127.0.0.1:1".to_owned(),
        "--listen=unix:/run/a b.sock".to_owned(),
        format!("--tls-cert={}", cert.display()),
        format!("--tls-key={}", key.display()),
        format!("--tls-client-ca={}", ca.display()),
        "--grant=user:CN=odd: # name=Admit,CheckFlow".to_owned(),
        "--grant=group:all=*".to_owned(),
        "--unix-socket-mode=0660".to_owned(),
        "--decision-log=sampled".to_owned(),
        "--decision-log-sample=0.5".to_owned(),
        "--decision-log-to=/var/log/a.json".to_owned(),
        "--caller-rate=7".to_owned(),
        "--caller-burst=9".to_owned(),
        "--log=info,gavel_server=debug".to_owned(),
    ];
    let arguments: Vec<&str> = flags.iter().map(String::as_str).chain(["--print-config"]).collect();
    let (code, first, err) = texts(&run(&arguments, &[]));
    assert_eq!(code, Some(0), "{err}");
    let (_folder, path) = file(&first);
    let (code, second, err) = texts(&run(&["--config", &path, "--print-config"], &[]));
    assert_eq!(code, Some(0), "{err}");
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.rsplit_once(" # ").unwrap().0.to_owned()).collect()
    };
    assert_eq!(values(&first), values(&second));
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let (_folder, path) = file("cluster: true\nmax-in-flight: none\ntls-certt: a\nlisten: [localhost]\n");
    let variables = [("GAVEL_TRACE_SAMPLE", "2"), ("GAVEL_GRANT", "alice")];
    let (code, _, err) = texts(&run(&["--config", &path, "--decision-log", "some"], &variables));
    assert_eq!(code, Some(2), "{err}");
    for part in [
        format!("{path}:2: max-in-flight: invalid value 'none'"),
        format!("{path}:3: tls-certt: there is no such setting; is `tls-cert` meant?"),
        format!("{path}:4: listen: invalid value 'localhost'"),
        "environment GAVEL_TRACE_SAMPLE: invalid value '2'".to_owned(),
        "environment GAVEL_GRANT: invalid value 'alice'".to_owned(),
        "invalid value 'some' for '--decision-log <WHICH>'".to_owned(),
    ] {
        assert!(err.contains(&part), "{part} is not in {err}");
    }
    // And what cannot go together.
    let arguments = ["--manifests", "/", "--cluster", "--watch-seconds", "1", "--caller-burst", "2"];
    let (code, _, err) = texts(&run(&arguments, &[]));
    assert_eq!(code, Some(2), "{err}");
    for part in ["--cluster goes without --manifests", "at least 5", "--caller-burst goes with --caller-rate"]
    {
        assert!(err.contains(part), "{part} is not in {err}");
    }
}

#[test]
fn nobody_is_exposed_unasked() {
    let authority = Authority::new();
    let (cert, key, ca) = authority.server_files();
    let tls = [format!("--tls-cert={}", cert.display()), format!("--tls-key={}", key.display())];
    let tls: Vec<&str> = tls.iter().map(String::as_str).collect();
    let ca = format!("--tls-client-ca={}", ca.display());
    let open = "--listen=0.0.0.0:9470";
    for (flags, told) in [
        (vec![open], "callers are not authenticated"),
        ([&[open][..], &tls].concat(), "callers are not authenticated"),
        (vec![open, "--token-review"], "tokens would travel in clear"),
        (vec!["--listen=[::]:9470"], "callers are not authenticated"),
        (vec!["--admin-listen=0.0.0.0:9471"], "--admin-insecure"),
        (vec![&ca], "--tls-client-ca goes with --tls-cert"),
        (vec!["--grant=user:a=Admit"], "--grant goes with"),
        (vec![open, "--insecure"], ""),
        ([&[open, &ca][..], &tls].concat(), ""),
        ([&[open, "--token-review"][..], &tls].concat(), ""),
        (vec!["--listen=127.0.0.1:9470", "--listen=[::1]:9470", "--listen=unix:/run/a.sock"], ""),
        (vec!["--admin-listen=0.0.0.0:9471", "--admin-insecure"], ""),
    ] {
        let arguments = [&["--manifests", "/", "--print-config"], &flags[..]].concat();
        let (code, _, err) = texts(&run(&arguments, &[]));
        assert_eq!(code, Some(if told.is_empty() { 0 } else { 2 }), "{flags:?}: {err}");
        assert!(err.contains(told), "{flags:?}: {err}");
    }
}

#[test]
fn files_are_checked_without_a_start() {
    let authority = Authority::new();
    let (cert, key, ca) = authority.server_files();
    let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
    let check = |flags: &[String]| {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        texts(&run(&[&["--check-config", "--manifests", "/tmp"], &flags[..]].concat(), &[]))
    };
    let good = [flag("tls-cert", &cert), flag("tls-key", &key), flag("tls-client-ca", &ca)];
    let (code, out, err) = check(&good);
    assert_eq!((code, out.as_str()), (Some(0), "configuration is valid\n"), "{err}");
    let other = authority.file("other.key", &Authority::new().user("x").key);
    let junk = authority.file("junk.crt", "junk");
    let expired = authority.issue(&Subject { name: "gavel-server", is_expired: true, ..Subject::default() });
    let (old_cert, old_key) =
        (authority.file("old.crt", &expired.certificate), authority.file("old.key", &expired.key));
    let jwks = authority.file("jwks.json", "{}");
    let issuer = "--token-issuer=https://kubernetes.default.svc".to_owned();
    for (flags, told) in [
        (vec![flag("tls-cert", &cert), flag("tls-key", &other)], "do not belong together"),
        (vec![flag("tls-cert", &junk), flag("tls-key", &key)], "junk.crt"),
        (vec![flag("tls-cert", &old_cert), flag("tls-key", &old_key)], "old.crt"),
        (vec![flag("tls-cert", &cert), flag("tls-key", &key), flag("tls-client-ca", &junk)], "junk.crt"),
        (vec![flag("token-keys", &jwks), issuer], "jwks.json"),
        (vec!["--manifests=/nonexistent".to_owned()], "/nonexistent"),
        (vec!["--log=gavel=loud".to_owned()], "--log gavel=loud"),
        (
            vec!["--decision-log=all".to_owned(), "--decision-log-to=/proc/decisions/a.json".to_owned()],
            "--decision-log-to /proc/decisions",
        ),
    ] {
        let (code, out, err) = check(&flags);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{flags:?}: {err}");
        assert!(err.contains(told), "{flags:?}: {err}");
    }
}

#[test]
fn variables_that_nobody_reads_are_told_and_those_of_services_are_not() {
    let variables = [
        ("GAVEL_LISTN", "127.0.0.1:1"),
        ("GAVEL_WEBHOOK_LISTEN", "127.0.0.1:1"),
        ("GAVEL_SERVER_SERVICE_HOST", "10.0.0.1"),
        ("GAVEL_SERVER_PORT", "tcp://10.0.0.1:9470"),
        ("GAVEL_SERVER_PORT_9470_TCP_ADDR", "10.0.0.1"),
    ];
    let (code, _, err) = texts(&run(&["--check-config", "--manifests", "/tmp"], &variables));
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(err, "warning: environment GAVEL_LISTN: there is no such setting; is GAVEL_LISTEN meant?\n");
}

/// `GAVEL_WRITE_GOLDEN=1 cargo test -p gavel-server` writes it anew.
#[test]
fn the_manual_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/gavel-server.md");
    let manual = format!(
        "# Settings of gavel-server\n\nEach is a flag (`--setting`), a variable, and a key of the YAML file of `--config`; \
         flags win over variables over the file. `--check-config` checks them all, with the files they name; \
         `--print-config` prints those in effect, as a file, with where each comes from. Variables separate the values of \
         a list by commas, those of `grant` by semicolons. This page is made from the program.\n\n{}",
        Config::manual()
    );
    if std::env::var_os("GAVEL_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &manual).unwrap();
    }
    assert_eq!(manual, std::fs::read_to_string(&path).unwrap());
}
