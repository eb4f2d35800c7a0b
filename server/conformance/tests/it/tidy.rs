//! The house keeps itself tidy: arrows between crates, files nobody compiles, files that grew, the code map.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Lines of a source file; of one with tests.
const MOST_LINES: usize = 400;
const MOST_LINES_OF_TESTS: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Folder of each crate.
const CRATES: [(&str, &str); 16] = [
    ("gavel-proto", "proto"),
    ("gavel-engine", "server/engine"),
    ("gavel-source", "server/source"),
    ("gavel-access", "server/access"),
    ("gavel-server", "server"),
    ("gavel-tls", "client/tls"),
    ("gavel-config", "client/config"),
    ("gavel-telemetry", "client/telemetry"),
    ("gavel-client", "client/rust"),
    ("gavel-cli", "client/cli"),
    ("gavel-webhook", "client/webhook"),
    ("gavel-node", "client/node"),
    ("gavel-conformance", "server/conformance"),
    ("gavel-e2e", "deploy/e2e"),
    ("gavel-loadtest", "loadtest"),
    ("gavel-generator", "loadtest/generator"),
];

fn dependencies(folder: &str) -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let table = manifest["dependencies"].as_table().unwrap();
    table.keys().cloned().collect()
}

#[test]
fn arrows_between_crates() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("gavel-proto", &[][..]),
        ("gavel-generator", &[]),
        ("gavel-engine", &[]),
        ("gavel-source", &["gavel-engine"]),
        ("gavel-tls", &[]),
        ("gavel-config", &[]),
        ("gavel-telemetry", &[]),
        ("gavel-access", &["gavel-engine", "gavel-tls"]),
        (
            "gavel-server",
            &[
                "gavel-engine",
                "gavel-source",
                "gavel-access",
                "gavel-tls",
                "gavel-telemetry",
                "gavel-config",
                "gavel-proto",
            ],
        ),
        ("gavel-client", &["gavel-proto", "gavel-tls"]),
        ("gavel-node", &["gavel-client", "gavel-telemetry", "gavel-config"]),
        ("gavel-webhook", &["gavel-client", "gavel-tls", "gavel-telemetry", "gavel-config"]),
        ("gavel-cli", &["gavel-client", "gavel-engine", "gavel-source", "gavel-server", "gavel-proto"]),
    ]);
    for (name, folder) in CRATES {
        // Development only: it may know everybody.
        let Some(allowed) = allowed.get(name) else { continue };
        for dependency in dependencies(folder).iter().filter(|dependency| dependency.starts_with("gavel-")) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_engine_is_pure() {
    let impure = [
        "tokio",
        "tonic",
        "prost",
        "kube",
        "tracing",
        "opentelemetry",
        "dashmap",
        "arc-swap",
        "notify",
        "axum",
    ];
    for dependency in dependencies("server/engine") {
        assert!(!impure.contains(&dependency.as_str()), "the engine must not depend on {dependency}");
    }
    for file in sources(&root().join("server/engine/src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        for word in ["std::fs", "std::net::Tcp", "std::time", "std::thread", "println!", "std::env"] {
            assert!(!text.contains(word), "{} uses {word}", file.display());
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                files.extend(sources(&path));
            }
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Every source file is a root that cargo builds, or is named by a `mod` of the file above it.
#[test]
fn no_file_that_nobody_compiles() {
    let mut checked = 0;
    for (_, folder) in CRATES {
        for part in ["src", "tests", "benches", "examples"] {
            let folder = root().join(folder).join(part);
            if !folder.is_dir() {
                continue;
            }
            for file in sources(&folder) {
                checked += 1;
                assert!(is_compiled(&file, &folder), "nobody compiles {}", file.display());
            }
        }
    }
    assert!(checked > 100, "{checked} files");
}

fn is_compiled(file: &Path, folder: &Path) -> bool {
    let stem = file.file_stem().unwrap().to_str().unwrap();
    let parent = file.parent().unwrap();
    let is_root = parent == folder
        && (folder.ends_with("src") && ["lib", "main"].contains(&stem) || !folder.ends_with("src"))
        || parent.parent() == Some(folder) && !folder.ends_with("src") && stem == "main";
    if is_root {
        return true;
    }
    let (module, above) = if stem == "mod" {
        (parent.file_name().unwrap().to_str().unwrap(), parent.parent().unwrap())
    } else {
        (stem, parent)
    };
    let named = |path: PathBuf| {
        std::fs::read_to_string(path).is_ok_and(|text| {
            text.lines().any(|line| {
                let line = line.trim();
                line.ends_with(&format!("mod {module};"))
            })
        })
    };
    let candidates = ["mod.rs", "lib.rs", "main.rs"].map(|name| above.join(name));
    let beside = above.with_extension("rs");
    let benches = std::fs::read_dir(above).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    candidates.into_iter().chain([beside]).chain(benches.filter(|path| path.extension().is_some())).any(named)
}

#[test]
fn files_are_small() {
    for (_, folder) in CRATES {
        for file in sources(&root().join(folder)) {
            let lines = std::fs::read_to_string(&file).unwrap().lines().count();
            let is_test = file
                .components()
                .any(|part| part.as_os_str().to_str().is_some_and(|part| part.starts_with("tests")));
            let most = if is_test { MOST_LINES_OF_TESTS } else { MOST_LINES };
            assert!(lines <= most, "{} has {lines} lines, more than {most}", file.display());
        }
    }
}

/// Every path that the code map names is there, and every crate is named.
#[test]
fn the_code_map_is_true() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for (name, folder) in CRATES {
        assert!(text.contains(&format!("`{name}`")), "ARCHITECTURE.md does not name {name}");
        assert!(text.contains(&format!("`{folder}`")), "ARCHITECTURE.md does not name {folder}");
    }
    let paths = text.split('`').skip(1).step_by(2).filter(|code| {
        ["proto/", "server/", "client/", "deploy/", "loadtest/"].iter().any(|top| code.starts_with(top))
            && !code.contains(['*', ' '])
    });
    let mut named = 0;
    for path in paths {
        assert!(root().join(path).exists(), "ARCHITECTURE.md names {path}, which is not there");
        named += 1;
    }
    assert!(named > 15, "{named} paths");
}

/// Nothing of the machine somebody developed on.
#[test]
fn no_paths_of_a_machine() {
    for file in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "Makefile",
        "deny.toml",
        "Cargo.toml",
    ] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        for part in ["/root/", "/home/", "/work/", "index.crates.io"] {
            assert!(!text.contains(part), "{file} has {part}");
        }
    }
}
