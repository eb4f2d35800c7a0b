//! Manifests: text to objects, objects to a snapshot. Whatever the text, nothing panics.
#![no_main]

use gavel_engine::{Change, Snapshot};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let reading = gavel_source::manifests::parse(text, "fuzz.yaml");
    let changes = reading.objects.into_iter().map(|object| Change::Upsert(object.item));
    let snapshot = Snapshot::empty().apply(changes);
    for error in reading.errors.iter().chain(&reading.warnings) {
        assert!(!error.to_string().is_empty());
    }
    let _ = snapshot.diagnostics().count();
});
