//! Flow questions in the protobuf JSON mapping, against a small cluster.
#![no_main]

use std::sync::LazyLock;

use gavel_engine::{Change, Snapshot};
use gavel_proto::v1 as pb;
use libfuzzer_sys::fuzz_target;

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let reading = gavel_source::manifests::parse(include_bytes!("cluster.yaml"), "cluster.yaml");
    assert!(reading.errors.is_empty(), "{:?}", reading.errors);
    Snapshot::empty().apply(reading.objects.into_iter().map(|object| Change::Upsert(object.item)))
});

fuzz_target!(|line: &[u8]| {
    let Ok(request) = serde_json::from_slice::<pb::CheckFlowRequest>(line) else { return };
    let answer = gavel_server::decide::check_flow(&SNAPSHOT, &request);
    let traced = gavel_server::decide::check_flow(&SNAPSHOT, &pb::CheckFlowRequest { explain: true, ..request });
    assert_eq!(answer.map(|answer| answer.verdict).ok(), traced.map(|answer| answer.verdict).ok());
});
