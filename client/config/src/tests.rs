use std::path::PathBuf;

use clap::{CommandFactory as _, Parser};

use super::*;

#[derive(Clone, Debug, PartialEq, Parser)]
#[command(name = "program")]
struct Settings {
    #[arg(long, env = "CONFIG_TEST_CONFIG")]
    config: Option<PathBuf>,
    /// Where to listen
    #[arg(long, env = "CONFIG_TEST_LISTEN", value_delimiter = ',', default_value = "127.0.0.1:1", num_args = 1..)]
    listen: Vec<std::net::SocketAddr>,
    /// How many
    #[arg(long, value_name = "N", env = "CONFIG_TEST_MANY", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..10), help_heading = "Limits")]
    many: u16,
    /// Whether
    #[arg(long, env = "CONFIG_TEST_SWITCH")]
    switch: bool,
    /// A name
    #[arg(long, env = "CONFIG_TEST_NAME", requires = "many")]
    name: Option<String>,
    /// Its key
    #[arg(long, env = "CONFIG_TEST_KEY", requires = "name")]
    key: Option<String>,
}

const PROGRAM: Program<'_> = Program { prefix: "CONFIG_TEST_", others: &["CONFIG_TEST_OTHER_"] };

fn read_with(file: &str, flags: &[&str]) -> Result<Read<Settings>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.yaml");
    std::fs::write(&path, file).unwrap();
    let said = ["program", "--config", path.to_str().unwrap()].into_iter().chain(flags.iter().copied());
    read(Settings::command(), PROGRAM, said.map(OsString::from))
        .map_err(|error| error.to_string().replace(folder.path().to_str().unwrap(), ""))
}

#[test]
fn flags_win_over_the_file_and_it_over_defaults() {
    let file = "many: 4\nswitch: true\nlisten: [127.0.0.1:2, '127.0.0.1:3']\nname: from the file\n";
    let of_file = read_with(file, &[]).unwrap().settings;
    assert_eq!((of_file.many, of_file.switch, of_file.listen.len()), (4, true, 2));
    let of_flags =
        read_with(file, &["--many", "5", "--switch=false", "--listen", "127.0.0.1:4"]).unwrap().settings;
    assert_eq!((of_flags.many, of_flags.switch, of_flags.listen.len()), (5, false, 1));
    assert_eq!(of_flags.name.as_deref(), Some("from the file"));
    let of_nobody = read_with("", &["--switch"]).unwrap().settings;
    assert_eq!((of_nobody.many, of_nobody.switch), (3, true));
    // A list in a text, as in a variable.
    assert_eq!(read_with("listen: 127.0.0.1:2,127.0.0.1:3\n", &[]).unwrap().settings.listen.len(), 2);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let file = "\nmany: 10\nlissten: [127.0.0.1:2]\nswitch: 'yes'\nlisten: [nowhere]\nname: {a: b}\nmany: 4\n\
                config: x\nentirely-else: 1\nkey: [a, b]\n";
    let told = read_with(file, &["--many", "0"]).unwrap_err();
    for part in [
        "10 settings are wrong",
        "/settings.yaml:2:7: many: invalid value '10'",
        "is not in 1..10",
        "/settings.yaml:3:1: lissten: there is no such setting; is `listen` meant?",
        "/settings.yaml:4:9: switch: must be true or false, not \"yes\"",
        "/settings.yaml:5:10: listen: invalid value 'nowhere'",
        "/settings.yaml:6:7: name: must be a single value",
        "/settings.yaml:7:1: many: is there already, at /settings.yaml:2:1",
        "/settings.yaml:8:1: config: cannot be said in the file itself",
        "/settings.yaml:9:1: entirely-else: there is no such setting\n",
        "/settings.yaml:10:6: key: must be a single value, not a list",
        "invalid value '0' for '--many <N>'",
    ] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    let told = read_with("name: [\n", &[]).unwrap_err();
    assert!(told.contains("/settings.yaml:"), "{told}");
    let told = read_with("- a\n", &[]).unwrap_err();
    assert!(told.contains("settings, such as"), "{told}");
    let told = read_with("name: a\n---\nname: b\n", &[]).unwrap_err();
    assert!(told.contains("/settings.yaml:"), "{told}");
}

#[test]
fn each_value_of_a_list_has_its_place() {
    let file = "listen:\n- 127.0.0.1:1\n- nowhere\n- 127.0.0.1:2,127.0.0.1:3\n- {a: b}\n-\nname:\n";
    let told = read_with(file, &[]).unwrap_err();
    for part in [
        "5 settings are wrong",
        "/settings.yaml:3:3: listen: invalid value 'nowhere'",
        "/settings.yaml:4:3: listen: must not have `,` in it: write two values",
        "/settings.yaml:5:3: listen: must be a single value, not keys and values",
        "/settings.yaml:6:2: listen: there is no value",
        "/settings.yaml:7:5: name: there is no value: leave the line out",
    ] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    let told = read_with("listen: []\n", &[]).unwrap_err();
    assert!(told.contains("/settings.yaml:1:9: listen: must not be empty"), "{told}");
}

#[test]
fn a_key_is_a_name() {
    let told = read_with("1: a\n~: b\n[many]: 3\nmany: {}\n", &[]).unwrap_err();
    for part in [
        "4 settings are wrong",
        "/settings.yaml:1:1: 1: there is no such setting",
        "/settings.yaml:2:1: a key must be the name of a setting",
        "/settings.yaml:3:1: a key must be the name of a setting",
        "/settings.yaml:4:7: many: must be a single value",
    ] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
}

#[test]
fn a_value_is_what_was_written() {
    for written in ["0660", "1.10", "0x1F", "007", "1e3", "12345678901234567890123"] {
        let settings = read_with(&format!("many: 1\nname: {written} # as it is\n"), &[]).unwrap().settings;
        assert_eq!(settings.name.as_deref(), Some(written));
    }
    let told = read_with("many: 0x5\n", &[]).unwrap_err();
    assert!(told.contains("/settings.yaml:1:7: many: invalid value '0x5'"), "{told}");
}

#[test]
fn all_flags_that_are_wrong_are_told_with_all_else() {
    let flags = ["--bogus", "value", "--many", "0", "--other=1", "--listen", "nowhere", "--switch=maybe"];
    let told = read_with("many: 11\nlissten: a\n", &flags).unwrap_err();
    for part in [
        "7 settings are wrong",
        "/settings.yaml:1:7: many: invalid value '11'",
        "/settings.yaml:2:1: lissten",
        "unexpected argument '--bogus' found",
        "unexpected argument '--other' found",
        "invalid value '0' for '--many <N>'",
        "invalid value 'nowhere' for '--listen",
        "invalid value 'maybe' for '--switch",
    ] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    // One alone, as clap tells it.
    let told = read_with("", &["--lissten", "127.0.0.1:1"]).unwrap_err();
    assert!(told.contains("tip: a similar argument exists: '--listen'"), "{told}");
    assert!(told.contains("Usage:"), "{told}");
}

#[test]
fn what_goes_together_goes_together_across_sources() {
    let told = read_with("key: k\n", &[]).unwrap_err();
    assert!(told.contains("--name"), "{told}");
    let both = read_with("key: k\n", &["--name", "n", "--many", "2"]).unwrap().settings;
    assert_eq!(both.key.as_deref(), Some("k"));
}

#[test]
fn what_is_printed_says_the_same_again() {
    let file = "many: 4\nswitch: true\nlisten: ['127.0.0.1:2', '[::1]:3']\nname: 'it''s: # a name'\n";
    let first = read_with(file, &["--key", "007"]).unwrap();
    let printed = first.print();
    assert!(printed.contains("many: 4 # /"), "{printed}");
    assert!(printed.contains("settings.yaml:1\n"), "{printed}");
    assert!(printed.contains("key: \"007\" # flag --key\n"), "{printed}");
    let again = read_with(&printed, &[]).unwrap();
    assert_eq!(Settings { config: None, ..again.settings }, Settings { config: None, ..first.settings });
    let defaults = read_with("", &[]).unwrap().print();
    assert!(defaults.contains("many: 3 # default\n"), "{defaults}");
    assert!(defaults.contains("# name: # not set\n"), "{defaults}");
    read_with(&defaults, &[]).unwrap();
}

#[test]
fn purposes() {
    assert_eq!(read_with("", &[]).unwrap().purpose, Purpose::Run);
    assert_eq!(read_with("", &["--check-config"]).unwrap().purpose, Purpose::Check);
    assert_eq!(read_with("", &["--print-config"]).unwrap().purpose, Purpose::Print);
}

#[test]
fn variables_that_nobody_reads() {
    let names = [
        "CONFIG_TEST_MNAY",
        "CONFIG_TEST_MANY",
        "CONFIG_TEST_OTHER_THING",
        "CONFIG_TEST_SERVER_SERVICE_HOST",
        "CONFIG_TEST_SERVER_PORT",
        "CONFIG_TEST_SERVER_PORT_9470_TCP_ADDR",
        "CONFIG_TEST_SERVER_SERVICE_PORT_GRPC",
        "PATH",
    ];
    let variables = names.into_iter().map(|name| (OsString::from(name), OsString::new()));
    let warnings = environment::unknown(&Settings::command(), PROGRAM, variables);
    assert_eq!(
        warnings,
        ["environment CONFIG_TEST_MNAY: there is no such setting; is CONFIG_TEST_MANY meant?"]
    );
}

#[test]
fn the_manual_has_every_setting() {
    let manual = manual(Settings::command());
    assert!(manual.contains("### Limits\n"), "{manual}");
    assert!(manual.contains("| `many` N<br>`CONFIG_TEST_MANY` | `3` | How many |"), "{manual}");
    assert!(manual.contains("`listen` LISTEN, a list"), "{manual}");
    assert!(!manual.contains("print-config"), "{manual}");
}
