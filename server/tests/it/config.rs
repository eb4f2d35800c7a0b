//! Settings, as the program takes them: from flags, variables and a file; checked, printed, and described.

use std::path::Path;
use std::process::{Command, Output};

use clap::CommandFactory as _;
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

/// A value of each setting that is not its default: all that can be said together.
const VALUES: &[(&str, &str)] = &[
    ("cluster", "true"),
    ("kubeconfig", "/etc/gavel/kube config"),
    ("context", "0123"),
    ("state-dir", "/var/lib/gavel"),
    ("unready-after-seconds", "0"),
    ("watch-seconds", "5"),
    ("streaming-lists", "false"),
    ("max-wait-seconds", "7"),
    ("accept-refused", "true"),
    ("listen", "127.0.0.1:1,[::1]:2,unix:/run/a b.sock"),
    ("runtime", "per-core"),
    ("admin-listen", "[::1]:9"),
    ("evaluators", "none"),
    ("poll-seconds", "3"),
    ("tls-cert", "tls.crt"),
    ("tls-key", "tls.key"),
    ("tls-client-ca", "yes"),
    ("tls-client-crl", "~"),
    ("spiffe-trust-domain", "example.org"),
    ("token-review", "true"),
    ("token-keys", "cluster"),
    ("token-issuer", "https://issuer/#x: {y}"),
    ("token-audience", "a,b c"),
    ("grant", "user:CN=odd: # name=Admit,CheckFlow;group:all=*"),
    ("unix-socket-mode", "0660"),
    ("insecure", "true"),
    ("admin-insecure", "true"),
    ("max-request-bytes", "5000000"),
    ("max-object-bytes", "4000000"),
    ("max-header-bytes", "2048"),
    ("max-held-bytes", "6000000"),
    ("max-batch", "500"),
    ("max-connections", "40"),
    ("max-connections-per-address", "20"),
    ("max-concurrent-streams", "30"),
    ("max-in-flight", "50"),
    ("caller-in-flight", "20"),
    ("caller-rate", "7"),
    ("caller-burst", "9"),
    ("handshake-seconds", "4"),
    ("request-seconds", "8"),
    ("max-connection-age-seconds", "0"),
    ("max-connection-age-grace-seconds", "2"),
    ("drain-delay-seconds", "1"),
    ("drain-seconds", "3"),
    ("log", "info,gavel_server=debug"),
    ("log-format", "json"),
    ("otlp-endpoint", "http://127.0.0.1:4317"),
    ("trace-sample", "0.25"),
    ("decision-log", "sampled"),
    ("decision-log-sample", "0.5"),
    ("decision-log-to", "/var/log/gavel \"1\".json"),
    ("decision-log-question", "full"),
    ("decision-log-max-bytes", "8192"),
    ("decision-log-keep", "2"),
];

/// What `--print-config` prints, without where it comes from.
fn values(printed: &str) -> Vec<&str> {
    printed.lines().map(|line| line.rsplit_once(" # ").unwrap().0).collect()
}

#[test]
fn what_is_printed_is_a_file_that_says_the_same() {
    let known = Config::command();
    let known: Vec<_> =
        known.get_arguments().filter(|argument| argument.get_long() != Some("config")).collect();
    // One of the two where objects come from.
    let missing: Vec<_> = known
        .iter()
        .filter_map(|argument| argument.get_long())
        .filter(|long| *long != "manifests" && !VALUES.iter().any(|(name, _)| name == long))
        .collect();
    assert!(missing.is_empty(), "add values of {missing:?} to this test");
    let flags: Vec<String> = VALUES.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(["--print-config"]).collect();
    let variables: Vec<(&str, &str)> = VALUES
        .iter()
        .map(|(name, value)| {
            let argument = known.iter().find(|argument| argument.get_long() == Some(name)).unwrap();
            (argument.get_env().unwrap().to_str().unwrap(), *value)
        })
        .collect();
    let (code, of_flags, err) = texts(&run(&flags, &[]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let not_said: Vec<&str> = of_flags.lines().filter(|line| !line.contains(" # flag --")).collect();
    assert_eq!(not_said, ["# manifests: # not set"]);
    let (code, of_variables, err) = texts(&run(&["--print-config"], &variables));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(of_variables.matches(" # environment GAVEL_").count(), VALUES.len());
    let (_folder, path) = file(&of_flags);
    let (code, of_file, err) = texts(&run(&["--config", &path, "--print-config"], &[]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(of_file.matches(&format!(" # {path}:")).count(), VALUES.len());
    assert_eq!(values(&of_flags), values(&of_variables));
    assert_eq!(values(&of_flags), values(&of_file));
    // What is printed of defaults, too.
    let (_, defaults, _) = texts(&run(&["--manifests=/a,/b", "--print-config"], &[]));
    let (_folder, path) = file(&defaults);
    let (code, again, err) = texts(&run(&["--config", &path, "--print-config"], &[]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(values(&defaults), values(&again));
}

#[test]
fn what_is_said_for_nothing_is_warned_of() {
    let quiet = ["--check-config", "--manifests=/tmp", "--decision-log=all", "--decision-log-to=/tmp/a.json"];
    let tuned = ["--decision-log-keep=3", "--decision-log-question=full"];
    let (code, _, err) = texts(&run(&[&quiet[..], &tuned].concat(), &[]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    // Switched off above: all the rest may stay where it is.
    let (code, _, err) = texts(&run(&[&quiet[..2], &quiet[3..], &tuned].concat(), &[]));
    assert_eq!(code, Some(0), "{err}");
    for flag in ["--decision-log-to", "--decision-log-keep", "--decision-log-question"] {
        assert!(err.contains(&format!("warning: {flag} has no effect")), "{flag}: {err}");
    }
    assert_eq!(err.lines().count(), 3, "{err}");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let (_folder, path) = file("cluster: true\nmax-in-flight: none\ntls-certt: a\nlisten: [localhost]\n");
    let variables = [("GAVEL_TRACE_SAMPLE", "2"), ("GAVEL_GRANT", "alice")];
    let (code, _, err) = texts(&run(&["--config", &path, "--decision-log", "some"], &variables));
    assert_eq!(code, Some(2), "{err}");
    for part in [
        format!("{path}:2:16: max-in-flight: invalid value 'none'"),
        format!("{path}:3:1: tls-certt: there is no such setting; is `tls-cert` meant?"),
        format!("{path}:4:10: listen: invalid value 'localhost'"),
        "environment GAVEL_TRACE_SAMPLE: invalid value '2'".to_owned(),
        "environment GAVEL_GRANT: invalid value 'alice'".to_owned(),
        "invalid value 'some' for '--decision-log <WHICH>'".to_owned(),
    ] {
        assert!(err.contains(&part), "{part} is not in {err}");
    }
    // And what cannot go together.
    let arguments = ["--manifests", "/", "--cluster", "--token-keys", "cluster", "--caller-burst", "2"];
    let (code, _, err) = texts(&run(&arguments, &[]));
    assert_eq!(code, Some(2), "{err}");
    for part in [
        "3 settings",
        "--cluster goes without",
        "--token-keys needs --token-issuer",
        "--caller-burst goes with",
    ] {
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

/// Of an API server that nobody has to reach for it.
const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: 'https://192.0.2.1:6443'}}]
users: [{name: a, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /nonexistent}}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
";

#[test]
fn all_files_are_told_of_at_once_with_what_goes_together() {
    let flags = [
        "--check-config",
        "--manifests=/nonexistent/manifests",
        "--tls-cert=/nonexistent/tls.crt",
        "--tls-key=/nonexistent/tls.key",
        "--token-keys=/nonexistent/jwks.json",
        "--spiffe-trust-domain=Example",
        "--token-review",
        "--kubeconfig=/nonexistent/kubeconfig",
        "--log=gavel=loud",
        "--listen=0.0.0.0:9470",
        "--admin-listen=0.0.0.0:9471",
    ];
    let variables = [("OTEL_TRACES_SAMPLER", "some"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")];
    let (code, out, err) = texts(&run(&flags, &variables));
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    for part in [
        "/nonexistent/manifests",
        "/nonexistent/tls.crt",
        "/nonexistent/jwks.json",
        "--spiffe-trust-domain \"Example\"",
        "--spiffe-trust-domain goes with --tls-client-ca",
        "--token-keys needs --token-issuer",
        "--kubeconfig /nonexistent/kubeconfig: ",
        "--log gavel=loud",
        "OTEL_TRACES_SAMPLER=some",
        "OTEL_EXPORTER_OTLP_PROTOCOL=http/json",
        "--admin-listen 0.0.0.0:9471",
    ] {
        assert!(err.contains(part), "{part} is not in {err}");
    }
    assert_eq!(err.matches("\n  - ").count(), 11, "{err}");
}

#[test]
fn a_kubeconfig_is_checked_and_its_programs_are_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    std::fs::write(&path, KUBECONFIG).unwrap();
    let kubeconfig = format!("--kubeconfig={}", path.display());
    let (code, out, err) = texts(&run(&["--check-config", "--cluster", &kubeconfig], &[]));
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "configuration is valid\n", ""));
}

#[test]
fn no_variable_is_called_like_those_of_services() {
    for argument in Config::command().get_arguments() {
        let Some(variable) = argument.get_env() else { continue };
        assert!(!gavel_config::is_service_link(variable.to_str().unwrap()), "{variable:?}");
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
    let other_context = authority.file("kubeconfig", KUBECONFIG);
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
            vec!["--trace-sample=1".to_owned(), "--otlp-endpoint=http://[".to_owned()],
            "--otlp-endpoint http://[: ",
        ),
        (vec!["--listen=unix:/nonexistent/gavel.sock".to_owned()], "/nonexistent is no folder"),
        (
            vec!["--token-review".to_owned(), flag("kubeconfig", &other_context), "--context=b".to_owned()],
            "kubeconfig: ",
        ),
        (vec!["--token-review".to_owned(), flag("kubeconfig", &junk)], "junk.crt: "),
        (
            vec!["--decision-log=all".to_owned(), "--decision-log-to=/proc/decisions/a.json".to_owned()],
            "--decision-log-to /proc/decisions",
        ),
    ] {
        let (code, out, err) = check(&flags);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{flags:?}: {err}");
        assert!(err.contains(told), "{flags:?}: {err}");
        assert_eq!(err.matches("\n  - ").count(), 1, "{flags:?}: {err}");
    }
    // The server's own certificate, and the authorities of its clients: both.
    let both = [flag("tls-cert", &junk), flag("tls-key", &key), flag("tls-client-ca", &other)];
    let (code, _, err) = check(&both);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("junk.crt") && err.contains("other.key"), "{err}");
    let lists = [&good[..], &[flag("tls-client-crl", &junk)]].concat();
    let (code, _, err) = check(&lists);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("junk.crt"), "{err}");
}

#[test]
fn an_address_is_served_once() {
    for (flags, told) in [
        (
            ["--listen=127.0.0.1:5,127.0.0.1:5", "--admin-listen=127.0.0.1:6"],
            "--listen 127.0.0.1:5 is there twice",
        ),
        (
            ["--listen=unix:/tmp/a,unix:/tmp/a", "--admin-listen=127.0.0.1:6"],
            "--listen unix:/tmp/a is there twice",
        ),
        (
            ["--listen=127.0.0.1:5", "--admin-listen=127.0.0.1:5"],
            "--listen 127.0.0.1:5 is --admin-listen, too",
        ),
        (["--listen=127.0.0.1:0,127.0.0.1:0", "--admin-listen=127.0.0.1:0"], ""),
    ] {
        let (code, _, err) = texts(&run(&[&flags[..], &["--manifests=/", "--print-config"]].concat(), &[]));
        assert_eq!(code, Some(if told.is_empty() { 0 } else { 2 }), "{flags:?}: {err}");
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

/// A file of settings, as it is in the manual.
const EXAMPLE: &str = "\
cluster: true
state-dir: /var/lib/gavel

listen: [0.0.0.0:9470, unix:/run/gavel/gavel.sock]
unix-socket-mode: 0660
tls-cert: /etc/gavel/tls.crt
tls-key: /etc/gavel/tls.key
token-review: true
grant:
- user:system:serviceaccount:gavel-system:gavel-webhook=Admit
- group:system:masters=*

decision-log: sampled
decision-log-to: /var/log/gavel/decisions.json
";

#[test]
fn the_example_is_a_file_of_settings() {
    let (_folder, path) = file(EXAMPLE);
    let (code, out, err) = texts(&run(&["--config", &path, "--print-config"], &[]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out.matches(&path).count(), 10, "{out}");
}

/// `GAVEL_WRITE_GOLDEN=1 cargo test -p gavel-server` writes it anew.
#[test]
fn the_manual_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/gavel-server.md");
    let manual = format!(
        "# Settings of gavel-server\n\nEach is a flag (`--setting`), a variable, and a key of the YAML file of `--config`; \
         flags win over variables over the file. Variables separate the values of a list by commas, those of `grant` by \
         semicolons. A switch that is on in the file is off with `--switch=false`, or `false` in its variable. This page is \
         made from the program.\n\n```yaml\n{EXAMPLE}```\n\n`--check-config` checks everything and ends, with 0 or 2: \
         the values; then, once these can be read, what cannot go together, and the files that are named, with \
         certificates, keys and kubeconfig. Each time all that is wrong is told, with line and column, variable, or flag. \
         Nothing is bound, and nobody is asked. `--print-config` prints the settings in effect, as a file for `--config`, \
         with where each comes from. Variables that begin with `GAVEL_` and that nobody reads are warned of, but for those \
         that Kubernetes sets for a Service called `gavel-…`.\n\n{}",
        Config::manual()
    );
    if std::env::var_os("GAVEL_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &manual).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        manual == kept,
        "docs/gavel-server.md is old: GAVEL_WRITE_GOLDEN=1 cargo test -p gavel-server --test it config"
    );
}
