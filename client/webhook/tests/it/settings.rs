//! Settings, as the program takes them.

use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    run_with(arguments, &[])
}

fn run_with(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gavel-webhook"));
    let Output { status, stdout, stderr } =
        command.args(arguments).envs(variables.iter().copied()).output().unwrap();
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
    assert!(err.contains("bad.yaml:1:1: servers: there is no such setting; is `server` meant?"), "{err}");
    assert!(err.contains("bad.yaml:2:9: listen: invalid value 'nowhere'"), "{err}");
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

/// A value of each setting that is not its default: all that can be said together.
const VALUES: &[(&str, &str)] = &[
    ("server", "gavel-server:9470,unix:/run/a b.sock"),
    ("server-ca", "ca.crt"),
    ("server-name", "gavel.test"),
    ("client-cert", "client.crt"),
    ("client-key", "client.key"),
    ("token-file", "a: # token"),
    ("token-without-tls", "true"),
    ("listen", "[::]:9"),
    ("admin-listen", "0.0.0.0:8"),
    ("admin-insecure", "true"),
    ("self-issued", "gavel-system/tls"),
    ("dns-name", "a.svc,b.svc"),
    ("webhook-configuration", "gavel,0123"),
    ("days", "30"),
    ("kubeconfig", "kube config"),
    ("context", "true"),
    ("on-unavailable", "allow"),
    ("max-request-bytes", "4096"),
    ("messages", "kubernetes"),
    ("client-ca", "~"),
    ("max-in-flight", "10"),
    ("max-connections", "20"),
    ("max-connections-per-address", "15"),
    ("max-header-bytes", "8192"),
    ("handshake-seconds", "3"),
    ("idle-seconds", "4"),
    ("reload-seconds", "6"),
    ("drain-delay-seconds", "7"),
    ("drain-seconds", "8"),
    ("otlp-endpoint", "http://127.0.0.1:4317"),
    ("trace-sample", "0.5"),
    ("log", "info,gavel_webhook=debug"),
    ("log-format", "json"),
];
/// What cannot be said with the others: a certificate is from files, or issued.
const OTHERS: [&str; 3] = ["config", "tls-cert", "tls-key"];

#[test]
fn what_is_printed_is_a_file_that_says_the_same() {
    let command = gavel_webhook::config::command();
    let missing: Vec<_> = command
        .get_arguments()
        .filter_map(|argument| argument.get_long())
        .filter(|long| !OTHERS.contains(long) && !VALUES.iter().any(|(name, _)| name == long))
        .collect();
    assert!(missing.is_empty(), "add values of {missing:?} to this test");
    let flags: Vec<String> = VALUES.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(["--print-config"]).collect();
    let variable = |(name, value): &(&str, &'static str)| {
        let argument = command.get_arguments().find(|argument| argument.get_long() == Some(name)).unwrap();
        (argument.get_env().unwrap().to_str().unwrap(), *value)
    };
    let variables: Vec<(&str, &str)> = VALUES.iter().map(variable).collect();
    let (code, of_flags, err) = run(&flags);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let (code, of_variables, err) = run_with(&["--print-config"], &variables);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("printed.yaml");
    std::fs::write(&path, &of_flags).unwrap();
    let path = path.to_str().unwrap();
    let (code, of_file, err) = run(&["--config", path, "--print-config"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for (printed, origin) in
        [(&of_flags, "flag --"), (&of_variables, "environment GAVEL_WEBHOOK_"), (&of_file, path)]
    {
        assert_eq!(printed.matches(&format!(" # {origin}")).count(), VALUES.len(), "{printed}");
        let values = |printed: &str| -> Vec<String> {
            printed.lines().map(|line| line.rsplit_once(" # ").unwrap().0.to_owned()).collect()
        };
        assert_eq!(values(printed), values(&of_flags));
    }
    for (variable, _) in variables {
        assert!(!gavel_config::is_service_link(variable), "{variable}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let flags = [
        "--admin-listen=0.0.0.0:1",
        "--tls-cert=/nonexistent/tls.crt",
        "--self-issued=a/b",
        "--server-name=x",
        "--client-cert=a.crt",
        "--token-without-tls",
        "--max-connections=1",
    ];
    let combinations = [
        "--server ADDR must be given",
        "--admin-insecure",
        "--tls-cert and --tls-key go together",
        "--self-issued cannot be used with --tls-cert",
        "--self-issued goes with --dns-name",
        "--self-issued goes with --webhook-configuration",
        "--server-name goes with --server-ca",
        "--client-cert and --client-key go together",
        "--client-cert goes with --server-ca",
        "--token-without-tls goes with --token-file",
        "--max-connections-per-address must not be above --max-connections",
    ];
    let (code, _, err) = run(&flags);
    assert_eq!(code, Some(2), "{err}");
    assert!(combinations.iter().all(|part| err.contains(part)), "{err}");
    assert_eq!(err.matches("\n  - ").count(), combinations.len(), "{err}");
    // And the files with them.
    let checked =
        ["--check-config", "--kubeconfig=/nonexistent/config", "--client-ca=/nonexistent/ca", "--log=a=b=c"];
    let (code, out, err) = run_with(
        &[&flags[..], &checked].concat(),
        &[
            ("GAVEL_WEBHOOK_OTLP_ENDPOINT", "http://["),
            ("GAVEL_WEBHOOK_LOGG", "x"),
            ("GAVEL_WEBHOOK_PORT", "tcp://a"),
        ],
    );
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    assert!(combinations.iter().all(|part| err.contains(part)), "{err}");
    for part in [
        "--kubeconfig /nonexistent/config",
        "--client-ca: /nonexistent/ca",
        "--log a=b=c",
        "--otlp-endpoint http://[: ",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert_eq!(err.matches("\n  - ").count(), combinations.len() + 4, "{err}");
    assert_eq!(err.matches("warning: ").count(), 1, "{err}");
    assert!(
        err.contains("GAVEL_WEBHOOK_LOGG: there is no such setting; is GAVEL_WEBHOOK_LOG meant?"),
        "{err}"
    );
}

#[test]
fn an_address_is_served_once() {
    let flags = ["--server=127.0.0.1:1", "--tls-cert=a", "--tls-key=b", "--print-config"];
    let served = |listen: &'static str, admin: &'static str| run(&[&flags[..], &[listen, admin]].concat());
    let (code, _, err) = served("--listen=127.0.0.1:5", "--admin-listen=127.0.0.1:5");
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("--listen and --admin-listen need different ports"), "{err}");
    let (code, _, err) = served("--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0");
    assert_eq!(code, Some(0), "{err}");
}

/// `GAVEL_WRITE_GOLDEN=1 cargo test -p gavel-webhook` writes it anew.
#[test]
fn the_manual_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/gavel-webhook.md");
    let manual = format!(
        "# Settings of gavel-webhook\n\nEach is a flag (`--setting`), a variable, and a key of the YAML file of `--config`; \
         flags win over variables over the file. Variables separate the values of a list by commas. A switch that is on in \
         the file is off with `--switch=false`, or `false` in its variable. This page is made from the \
         program.\n\n`--check-config` checks everything and ends, with 0 or 2: the values; then, once these can be read, \
         what cannot go together, and the files that are named, with certificates, keys and kubeconfig. Each time all that \
         is wrong is told, with line and column, variable, or flag. Nothing is bound, and nobody is asked. \
         `--print-config` prints the settings in effect, as a file for `--config`, with where each comes from.\n\n{}",
        gavel_config::manual(gavel_webhook::config::command())
    );
    if std::env::var_os("GAVEL_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &manual).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        manual == kept,
        "docs/gavel-webhook.md is old: GAVEL_WRITE_GOLDEN=1 cargo test -p gavel-webhook settings"
    );
}
