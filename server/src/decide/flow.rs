//! `CheckFlow`.

use std::net::IpAddr;

use gavel_engine::Snapshot;
use gavel_engine::network::{End, FlowDecision, FlowError, FlowRequest, Leg, LegReason, RuleTrace};
use gavel_engine::object::{Labels, Protocol};
use gavel_proto::v1 as pb;
use tonic::Status;

use super::Stages;
use super::invalid::invalid;

/// How much of an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// All of it.
    Full,
    /// Verdicts and codes, without names and sentences.
    Verdict,
}

/// Answers `CheckFlow`.
///
/// # Errors
/// INVALID_ARGUMENT when an end, the protocol or the port cannot be read, or an end does not exist.
pub fn check_flow(
    snapshot: &Snapshot,
    request: &pb::CheckFlowRequest,
) -> Result<pb::CheckFlowResponse, Status> {
    check_flow_staged(snapshot, request, &mut ())
}

/// The same, and tells when the question has been read, and when it has been decided.
///
/// # Errors
/// As [`check_flow`].
pub fn check_flow_staged(
    snapshot: &Snapshot,
    request: &pb::CheckFlowRequest,
    stages: &mut impl Stages,
) -> Result<pb::CheckFlowResponse, Status> {
    check_flow_in(snapshot, request, Detail::Full, stages)
}

/// The same, in as much detail as is wanted.
///
/// # Errors
/// As [`check_flow`].
pub fn check_flow_in(
    snapshot: &Snapshot,
    request: &pb::CheckFlowRequest,
    detail: Detail,
    stages: &mut impl Stages,
) -> Result<pb::CheckFlowResponse, Status> {
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
    let to_leg = match detail {
        Detail::Full => to_leg,
        Detail::Verdict => to_short_leg,
    };
    let (mut egress, mut ingress) = (to_leg(&decision.egress), to_leg(&decision.ingress));
    if *explain {
        let (egress_rules, ingress_rules) = snapshot.network().trace_flow(&question).map_err(refuse)?;
        egress.rules = to_traces(&decision.egress, &egress_rules);
        ingress.rules = to_traces(&decision.ingress, &ingress_rules);
    }
    let warnings = if decision.unknown_address && detail == Detail::Full {
        vec!["an end is a pod without a known address, so no ipBlock was held against it".to_owned()]
    } else {
        Vec::new()
    };
    Ok(pb::CheckFlowResponse {
        verdict: to_verdict(decision.allowed()).into(),
        reason: if detail == Detail::Full { reason(&decision) } else { String::new() },
        egress: Some(egress),
        ingress: Some(ingress),
        revision: snapshot.revision(),
        warnings,
        staleness: None,
        decision_id: String::new(),
    })
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

fn to_verdict(allowed: bool) -> pb::Verdict {
    if allowed { pb::Verdict::Allow } else { pb::Verdict::Deny }
}

/// Takes out of an answer what [`Detail::Verdict`] does not have.
pub fn leave_out_names(answer: &mut pb::CheckFlowResponse) {
    for leg in [&mut answer.egress, &mut answer.ingress].into_iter().flatten() {
        leg.isolating.clear();
        leg.allowed_by = None;
    }
    answer.reason.clear();
    answer.warnings.clear();
}

fn to_leg(leg: &Leg<'_>) -> pb::Leg {
    let policy = |index: usize| leg.isolating().get(index).map(|policy| to_policy(policy));
    pb::Leg {
        isolating: leg.isolating().iter().map(|policy| to_policy(policy)).collect(),
        allowed_by: leg
            .allowed_by()
            .map(|(index, rule)| pb::RuleRef { policy: policy(index), rule: to_index(rule) }),
        ..to_short_leg(leg)
    }
}

fn to_short_leg(leg: &Leg<'_>) -> pb::Leg {
    pb::Leg {
        verdict: to_verdict(leg.allowed).into(),
        isolated: leg.isolated,
        isolating: Vec::new(),
        allowed_by: None,
        rules: Vec::new(),
        reason: match leg.reason {
            LegReason::NotIsolated => pb::LegReason::NotIsolated,
            LegReason::Rule => pb::LegReason::Rule,
            LegReason::NoRule => pb::LegReason::NoRule,
            LegReason::NotAPod => pb::LegReason::NotAPod,
            LegReason::HostNetwork => pb::LegReason::HostNetwork,
            LegReason::SelfTraffic => pb::LegReason::SamePod,
        }
        .into(),
    }
}

fn to_traces(leg: &Leg<'_>, traces: &[RuleTrace]) -> Vec<pb::RuleTrace> {
    traces
        .iter()
        .map(|&RuleTrace { policy, rule, peer_matched, port_matched }| pb::RuleTrace {
            policy: leg.isolating().get(policy).map(|policy| to_policy(policy)),
            rule: to_index(rule),
            peer_matched,
            port_matched,
        })
        .collect()
}

fn to_policy(policy: &gavel_engine::network::CompiledPolicy) -> pb::PolicyRef {
    pb::PolicyRef {
        kind: "NetworkPolicy".to_owned(),
        namespace: policy.namespace.to_string(),
        name: policy.name.to_string(),
    }
}

fn to_index(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The answer in a sentence.
fn reason(decision: &FlowDecision<'_>) -> String {
    let (egress, ingress) = (&decision.egress, &decision.ingress);
    match (egress.allowed, ingress.allowed) {
        (false, false) => {
            format!("denied: {}; and {}", leg_reason("egress", egress), leg_reason("ingress", ingress))
        }
        (false, true) => format!("denied: {}", leg_reason("egress", egress)),
        (true, false) => format!("denied: {}", leg_reason("ingress", ingress)),
        (true, true) if egress.reason == LegReason::SelfTraffic => {
            "allowed: a pod always reaches itself".to_owned()
        }
        // Of two legs that allow, a rule says more than that there is none.
        (true, true) => match (egress.reason == LegReason::Rule, ingress.reason == LegReason::Rule) {
            (true, false) => format!("allowed: {}", leg_reason("egress", egress)),
            (false, true) => format!("allowed: {}", leg_reason("ingress", ingress)),
            _ => format!("allowed: {}; {}", leg_reason("egress", egress), leg_reason("ingress", ingress)),
        },
    }
}

fn leg_reason(direction: &str, leg: &Leg<'_>) -> String {
    let (end, rules) = match direction {
        "egress" => ("the source", "spec.egress"),
        _ => ("the destination", "spec.ingress"),
    };
    match (leg.reason, leg.allowed_by()) {
        (LegReason::NotIsolated, _) => format!("no policy isolates {end} for {direction}"),
        (LegReason::NotAPod, _) => {
            format!("{end} is no pod of this cluster, so no policy holds its {direction}")
        }
        (LegReason::HostNetwork, _) => {
            format!("{end} is a host-network pod, which no NetworkPolicy holds for {direction}")
        }
        (LegReason::SelfTraffic, _) => "a pod always reaches itself".to_owned(),
        (LegReason::Rule, Some((policy, rule))) => {
            let name =
                leg.isolating().get(policy).map(|policy| format!("{}/{}", policy.namespace, policy.name));
            format!("NetworkPolicy {} allows the {direction} ({rules}[{rule}])", name.unwrap_or_default())
        }
        (LegReason::Rule | LegReason::NoRule, _) => {
            let names: Vec<String> = leg
                .isolating()
                .iter()
                .map(|policy| format!("{}/{}", policy.namespace, policy.name))
                .collect();
            let (noun, verb) =
                if names.len() == 1 { ("NetworkPolicy", "isolates") } else { ("NetworkPolicies", "isolate") };
            format!("{noun} {} {verb} {end} for {direction}, and no rule allows this", names.join(", "))
        }
    }
}
