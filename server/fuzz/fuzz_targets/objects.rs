//! Objects of each kind, as a watch brings them.
#![no_main]

use gavel_engine::object::Kind;
use gavel_engine::object::decode::decode_as;
use gavel_engine::{Change, Snapshot};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((which, json)) = bytes.split_first() else { return };
    let kind = Kind::ALL[usize::from(*which) % Kind::ALL.len()];
    match decode_as(kind, "v1", json) {
        Ok(object) => {
            assert_eq!(object.kind(), kind);
            drop(Snapshot::empty().apply([Change::Upsert(object)]));
        }
        Err(errors) => assert!(!errors.is_empty()),
    }
});
