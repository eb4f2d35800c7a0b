//! What callers see: the gRPC services, and the sockets they are served on.

mod accept;
mod access;
mod batch;
mod body;
mod calls;
mod codec;
mod connection;
mod consistency;
mod deadline;
mod deciding;
mod direct;
mod ended;
mod flow_stream;
mod gate;
mod incoming;
mod listeners;
mod node_pods;
mod peer;
mod question;
mod revisions;
mod service;
mod snapshot;
mod stuck;
mod wire;
mod workers;

use std::sync::Arc;

use tonic::service::Routes;

pub(crate) use accept::Serving;
pub(crate) use access::Access;
pub(crate) use calls::Calls;
pub(crate) use connection::Settings as ConnectionSettings;
pub use direct::Direct;
pub(crate) use gate::Shared;
pub(crate) use incoming::{Bound, bind};
pub(crate) use service::Service;
pub(crate) use workers::Workers;

/// All services: ours, health and reflection (both versions: grpcurl and ghz differ in which they ask for).
pub(crate) fn calls(
    service: Arc<Service>,
    health: tonic_health::server::HealthReporter,
    max_request_bytes: usize,
) -> anyhow::Result<Arc<Calls>> {
    // Questions of a few bytes: no room for more.
    let (health_bytes, reflection_bytes) = (1 << 10, 64 << 10);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(gavel_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let others = Routes::default()
        .add_service(
            tonic_health::pb::health_server::HealthServer::new(
                tonic_health::server::HealthService::from_health_reporter(health),
            )
            .max_decoding_message_size(health_bytes),
        )
        .add_service(reflection().build_v1()?.max_decoding_message_size(reflection_bytes))
        .add_service(reflection().build_v1alpha()?.max_decoding_message_size(reflection_bytes));
    Ok(Arc::new(Calls { service, others: others.prepare(), max_request_bytes }))
}
