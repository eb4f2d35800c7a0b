//! Where it was measured, as Linux tells it.

use std::process::Command;

use super::figures::Machine;

/// This machine; what it does not tell is `unknown`.
pub(crate) fn machine() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    Machine {
        cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        model: known(model.map_or("", |(_, model)| model)),
        kernel: known(&read("/proc/sys/kernel/osrelease")),
        rustc: known(&rustc.unwrap_or_default()),
        date: time::OffsetDateTime::now_utc().date().to_string(),
    }
}

fn known(text: &str) -> String {
    match text.trim() {
        "" => "unknown".to_owned(),
        text => text.to_owned(),
    }
}
