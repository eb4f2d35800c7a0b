//! Compiles `gavel/v1/*.proto` with protox, so that no protoc is needed, and derives the protobuf JSON mapping.

use std::{env, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 4] = [
    "gavel/v1/admit.proto",
    "gavel/v1/flow.proto",
    "gavel/v1/authorize.proto",
    "gavel/v1/policy_decision.proto",
];

/// A handful of strings: hashing them takes longer than comparing.
const ANNOTATIONS: &str = ".gavel.v1.Annotations";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    for imported in [
        "gavel/v1/batch.proto",
        "gavel/v1/node.proto",
        "gavel/v1/pod.proto",
        "gavel/v1/snapshot.proto",
        "gavel/v1/freshness.proto",
    ] {
        println!("cargo:rerun-if-changed={imported}");
    }

    let descriptors = protox::compile(FILES, ["."])?;
    let encoded = descriptors.encode_to_vec();
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("gavel.v1.bin"), &encoded)?;

    tonic_prost_build::configure()
        .bytes(".gavel.v1.AdmitRequest")
        .btree_map(ANNOTATIONS)
        .extern_path(".google.protobuf", "::pbjson_types")
        .compile_well_known_types(true)
        .compile_fds(descriptors)?;
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .btree_map([ANNOTATIONS])
        .build(&[".gavel.v1"])?;
    Ok(())
}
