//! Flows.

use std::fmt::Write as _;

use gavel_client::v1 as pb;

use super::style;

/// May this end open a connection to that one?
pub(crate) fn text(request: &pb::CheckFlowRequest, answer: &pb::CheckFlowResponse) -> String {
    let mut text = String::new();
    let allowed = answer.verdict() == pb::Verdict::Allow;
    let word = if allowed { style::good("allowed") } else { style::error("denied") };
    let what = question(request);
    let reason = answer.reason.split_once(": ").map_or(answer.reason.as_str(), |(_, reason)| reason);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{word}: {what}");
    let _ = writeln!(text, "  {reason}");
    for (direction, leg) in [("egress", &answer.egress), ("ingress", &answer.ingress)] {
        for trace in leg.iter().flat_map(|leg| &leg.rules) {
            let _ = writeln!(text, "  - {}", rule(direction, trace));
        }
    }
    if request.explain && !answer.decision_id.is_empty() {
        let _ = writeln!(text, "  {}: {}", style::help("decision"), answer.decision_id);
    }
    for warning in &answer.warnings {
        let _ = writeln!(text, "  {}: {warning}", style::warning("warning"));
    }
    text
}

/// `shop/web -> shop/StatefulSet/db, port 5432/TCP`.
pub(crate) fn question(request: &pb::CheckFlowRequest) -> String {
    let protocol = match request.protocol() {
        pb::Protocol::Udp => "UDP",
        pb::Protocol::Sctp => "SCTP",
        pb::Protocol::Tcp | pb::Protocol::Unspecified => "TCP",
    };
    format!("{} -> {}, port {}/{protocol}", end(&request.source), end(&request.destination), request.port)
}

fn end(end: &Option<pb::End>) -> String {
    use pb::end::End;
    match end.as_ref().and_then(|end| end.end.as_ref()) {
        Some(End::Ip(ip)) => ip.clone(),
        Some(End::Pod(pod)) => format!("{}/{}", pod.namespace, pod.name),
        Some(End::Workload(workload)) => {
            format!("{}/{}/{}", workload.namespace, workload.kind, workload.name)
        }
        Some(End::Labels(labels)) => {
            let mut pairs: Vec<String> =
                labels.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            pairs.sort();
            format!("a pod of {} with {{{}}}", labels.namespace, pairs.join(", "))
        }
        None => "nobody".to_owned(),
    }
}

fn rule(direction: &str, trace: &pb::RuleTrace) -> String {
    let pb::RuleTrace { policy, rule, peer_matched, port_matched } = trace;
    let name =
        policy.as_ref().map(|policy| format!("{}/{}", policy.namespace, policy.name)).unwrap_or_default();
    let verdict = match (peer_matched, port_matched) {
        (true, true) => "allows this".to_owned(),
        (true, false) => format!("{}, but not of this port", style::warning("names this peer")),
        (false, true) => format!("{}, but not this peer", style::warning("names this port")),
        (false, false) => "names neither this peer nor this port".to_owned(),
    };
    format!("NetworkPolicy {} spec.{direction}[{rule}] {verdict}", style::strong(&name))
}
