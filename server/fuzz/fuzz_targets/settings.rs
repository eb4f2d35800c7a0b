//! The file of `--config`.
#![no_main]

use std::ffi::OsString;

use gavel_server::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let path = std::env::temp_dir().join(format!("gavel-fuzz-{}.yaml", std::process::id()));
    if std::fs::write(&path, text).is_err() {
        return;
    }
    let arguments = ["gavel-server", "--config"].map(OsString::from).into_iter().chain([path.into_os_string()]);
    match Config::read(arguments) {
        Ok(read) => assert!(!read.print().is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
