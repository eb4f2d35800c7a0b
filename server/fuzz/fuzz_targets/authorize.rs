//! RBAC questions in the protobuf JSON mapping.
#![no_main]

use std::sync::LazyLock;

use gavel_engine::{Change, Snapshot};
use gavel_proto::v1 as pb;
use libfuzzer_sys::fuzz_target;

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let reading = gavel_source::manifests::parse(include_bytes!("policies.yaml"), "policies.yaml");
    Snapshot::empty().apply(reading.objects.into_iter().map(|object| Change::Upsert(object.item)))
});

fuzz_target!(|line: &[u8]| {
    let Ok(request) = serde_json::from_slice::<pb::AuthorizeRequest>(line) else { return };
    if let Ok(answer) = gavel_server::decide::authorize(&SNAPSHOT, &request) {
        assert_eq!(answer.allowed, answer.grant.is_some());
    }
});
