//! The bytes of a pod, under policies with every control. An answer's patch is JSON.
#![no_main]

use std::sync::LazyLock;

use gavel_engine::{Change, Snapshot};
use gavel_proto::v1 as pb;
use libfuzzer_sys::fuzz_target;

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let reading = gavel_source::manifests::parse(include_bytes!("policies.yaml"), "policies.yaml");
    assert!(reading.errors.is_empty(), "{:?}", reading.errors);
    Snapshot::empty().apply(reading.objects.into_iter().map(|object| Change::Upsert(object.item)))
});

fuzz_target!(|object: &[u8]| {
    for phase in [pb::Phase::MutateAndValidate, pb::Phase::Validate] {
        let request = pb::AdmitRequest {
            operation: pb::Operation::Create.into(),
            namespace: "default".into(),
            user: Some(pb::UserInfo { username: "fuzz".into(), ..Default::default() }),
            object: object.to_vec().into(),
            phase: phase.into(),
            explain: true,
            ..Default::default()
        };
        if let Ok(answer) = gavel_server::decide::admit(&SNAPSHOT, &request)
            && !answer.patch.is_empty()
        {
            serde_json::from_slice::<serde_json::Value>(&answer.patch).expect("a patch is JSON");
        }
    }
});
