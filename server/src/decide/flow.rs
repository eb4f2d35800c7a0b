//! `CheckFlow`.

use std::net::IpAddr;

use gavel_engine::Snapshot;
use gavel_engine::network::{End, FlowError, FlowRequest};
use gavel_engine::object::{Labels, Protocol};
use gavel_proto::v1 as pb;
use tonic::Status;

use super::Stages;
use super::flow_answer::FlowAnswer;
use super::invalid::invalid;

/// How much of an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// All of it, but the identities for which it holds.
    Full,
    /// Verdicts and codes, without names and sentences.
    Verdict,
    /// Verdicts and codes, and the identities for which they hold.
    Cacheable,
    /// All of it, and the identities, too.
    Everything,
}

impl Detail {
    /// The same with names and sentences.
    pub(crate) fn with_names(self) -> Self {
        if self.has_identities() { Detail::Everything } else { Detail::Full }
    }

    /// Whether names and sentences are wanted.
    pub(super) fn has_names(self) -> bool {
        matches!(self, Detail::Full | Detail::Everything)
    }

    /// Whether it is wanted for which identities the answer holds.
    pub(super) fn has_identities(self) -> bool {
        matches!(self, Detail::Cacheable | Detail::Everything)
    }
}

/// Answers `CheckFlow`.
///
/// # Errors
/// INVALID_ARGUMENT when an end, the protocol or the port cannot be read, or an end does not exist.
pub fn check_flow(
    snapshot: &Snapshot,
    request: &pb::CheckFlowRequest,
) -> Result<pb::CheckFlowResponse, Status> {
    check_flow_in(snapshot, request, Detail::Full, Vec::new(), &mut ())?.message()
}

/// The same in bytes, as it goes on the wire, in as much detail as is wanted; tells when the question has been read, and
/// when it has been decided. `buffer` is room for the answer that is there already, and empty.
///
/// # Errors
/// As [`check_flow`].
pub fn check_flow_in(
    snapshot: &Snapshot,
    request: &pb::CheckFlowRequest,
    detail: Detail,
    buffer: Vec<u8>,
    stages: &mut impl Stages,
) -> Result<FlowAnswer, Status> {
    // Whoever loaded the snapshot has seen to the consistency.
    let pb::CheckFlowRequest { source, destination, protocol, port, explain, consistency: _ } = request;
    let protocol = match pb::Protocol::try_from(*protocol) {
        Ok(pb::Protocol::Unspecified | pb::Protocol::Tcp) => Protocol::Tcp,
        Ok(pb::Protocol::Udp) => Protocol::Udp,
        Ok(pb::Protocol::Sctp) => Protocol::Sctp,
        Err(_) => return Err(invalid("protocol", "must be PROTOCOL_TCP, PROTOCOL_UDP or PROTOCOL_SCTP")),
    };
    let port = match u16::try_from(*port) {
        Ok(port) if port > 0 => port,
        _ => return Err(invalid("port", format!("must be 1 to 65535, not {port}"))),
    };
    let (mut source_labels, mut destination_labels) = (Labels::new(), Labels::new());
    let question = FlowRequest {
        source: to_end("source", source.as_ref(), &mut source_labels)?,
        destination: to_end("destination", destination.as_ref(), &mut destination_labels)?,
        protocol,
        port,
    };
    stages.parsed();
    let refuse = |FlowError { end, message }| invalid(end, message);
    let decision = snapshot.check_flow(&question).map_err(refuse)?;
    stages.decided();
    let traces = if *explain {
        let (egress, ingress) = snapshot.network().trace_flow(&question).map_err(refuse)?;
        [egress, ingress]
    } else {
        Default::default()
    };
    let identities = if detail.has_identities() && is_one(&question.source) && is_one(&question.destination) {
        decision.identities()
    } else {
        (None, None)
    };
    Ok(FlowAnswer::write(&decision, &traces, detail, identities, snapshot.revision(), buffer))
}

/// Whether the end is one address or pod, and not what stands for several or for one to come.
fn is_one(end: &End<'_>) -> bool {
    matches!(end, End::Ip(_) | End::Pod { .. })
}

fn to_end<'a>(field: &str, end: Option<&'a pb::End>, labels: &'a mut Labels) -> Result<End<'a>, Status> {
    use pb::end::End as Wire;
    const WANTED: &str = "must be one of ip, pod, workload and labels";
    match end.and_then(|pb::End { end }| end.as_ref()) {
        None => Err(invalid(field, WANTED)),
        Some(Wire::Ip(ip)) => Ok(End::Ip(to_address(&format!("{field}.ip"), ip)?)),
        Some(Wire::Pod(pb::PodRef { namespace, name, ip })) => {
            required(&format!("{field}.pod.namespace"), namespace)?;
            required(&format!("{field}.pod.name"), name)?;
            let ip = if ip.is_empty() { None } else { Some(to_address(&format!("{field}.pod.ip"), ip)?) };
            Ok(End::Pod { namespace, name, ip })
        }
        Some(Wire::Workload(pb::WorkloadRef { namespace, kind, name })) => {
            required(&format!("{field}.workload.namespace"), namespace)?;
            required(&format!("{field}.workload.kind"), kind)?;
            required(&format!("{field}.workload.name"), name)?;
            Ok(End::Workload { namespace, kind, name })
        }
        Some(Wire::Labels(pb::LabelsRef { namespace, labels: wanted })) => {
            required(&format!("{field}.labels.namespace"), namespace)?;
            labels.extend(wanted.iter().map(|(key, value)| (key.clone(), value.clone())));
            Ok(End::Labels { namespace, labels })
        }
    }
}

fn required(field: &str, value: &str) -> Result<(), Status> {
    if value.is_empty() { Err(invalid(field, "must be set")) } else { Ok(()) }
}

fn to_address(field: &str, text: &str) -> Result<IpAddr, Status> {
    text.parse().map_err(|_| invalid(field, format!("{text:?} is not an IP address")))
}
