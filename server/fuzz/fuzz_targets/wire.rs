//! Requests as they come over the wire: protobuf, of each call; decoded, decided, and written again.
#![no_main]

use std::sync::LazyLock;

use gavel_engine::{Change, Snapshot};
use gavel_proto::v1 as pb;
use libfuzzer_sys::fuzz_target;
use prost::Message;

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let reading = gavel_source::manifests::parse(include_bytes!("cluster.yaml"), "cluster.yaml");
    assert!(reading.errors.is_empty(), "{:?}", reading.errors);
    Snapshot::empty().apply(reading.objects.into_iter().map(|object| Change::Upsert(object.item)))
});

/// The message, if it is one; what is written of it reads the same.
fn read<M: Message + Default + PartialEq>(bytes: &[u8]) -> Option<M> {
    let message = M::decode(bytes).ok()?;
    let again = M::decode(message.encode_to_vec().as_slice());
    // By what they say: maps have no order.
    assert!(again.is_ok_and(|again| again == message));
    Some(message)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, message)) = bytes.split_first() else { return };
    match which % 6 {
        0 => drop(read(message).map(|request: pb::AdmitRequest| gavel_server::decide::admit(&SNAPSHOT, &request))),
        1 => drop(read(message).map(|request: pb::CheckFlowRequest| gavel_server::decide::check_flow(&SNAPSHOT, &request))),
        2 => drop(read(message).map(|request: pb::AuthorizeRequest| gavel_server::decide::authorize(&SNAPSHOT, &request))),
        3 => drop(read::<pb::GetSnapshotRequest>(message)),
        4 => drop(read::<pb::WatchSnapshotRequest>(message)),
        _ => drop(read::<pb::WatchNodePodsRequest>(message)),
    }
});
