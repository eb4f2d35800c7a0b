//! The evaluation: from a question to the flow between two certain ends, and its two legs.

use std::net::IpAddr;
use std::sync::Arc;

use super::Index;
use super::decision::{First, FlowDecision, Held, Leg, LegReason, RuleTrace};
use super::ends::{Candidate, Candidates, Resolved, Who};
use super::line::Line;
use super::pod_leg::{Peer, Service, Subject};
use super::policy::{CompiledPolicy, Direction};
use super::question::{End, FlowError, FlowRequest};
use crate::object::Protocol;

/// An end with the address it uses.
pub(super) struct Party<'f> {
    pub(super) who: Who,
    /// What the question's direction reads of a pod's identity: egress of the source, ingress of the destination.
    pub(super) line: Option<&'f Line>,
    /// Unset: nobody knows.
    pub(super) address: Option<&'f IpAddr>,
}

/// A flow between two certain ends.
pub(super) struct Flow<'f> {
    pub(super) source: Party<'f>,
    pub(super) destination: Party<'f>,
    /// Both ends are the very same pod.
    pub(super) within_pod: bool,
    pub(super) service: Service,
}

impl Index {
    /// Decides one flow.
    ///
    /// # Errors
    /// When an end does not exist, or does not stand for one answer: see [`FlowError`].
    pub fn check_flow(&self, request: &FlowRequest<'_>) -> Result<FlowDecision<'_>, FlowError> {
        if let (End::Ip(source), End::Ip(destination)) = (&request.source, &request.destination)
            && let Some(decision) = self.between_pods(source, destination, request.protocol, request.port)
        {
            return Ok(decision);
        }
        self.flow(request).map(|flow| self.decide(&flow))
    }

    /// The flow between the addresses of two pods that policies hold: what enforcement points ask most. `None`:
    /// they are not.
    #[inline(always)]
    fn between_pods(
        &self,
        from: &IpAddr,
        to: &IpAddr,
        protocol: Protocol,
        port: u16,
    ) -> Option<FlowDecision<'_>> {
        let (source, destination) = (self.addresses.owner(from)?, self.addresses.owner(to)?);
        let (source_id, destination_id) = (source.identity()?, destination.identity()?);
        let source_line = self.lines.get(source_id)?.line(Direction::Egress);
        let destination_line = self.lines.get(destination_id)?.line(Direction::Ingress);
        if source.pod == destination.pod || port == 0 {
            return None;
        }
        let service = Service { protocol, port };
        let mut unknown_address = false;
        let source = Subject { id: source_id, line: source_line, direction: Direction::Egress };
        let peer = Peer { pod: Some((destination_id, destination_line)), address: Some(to) };
        let egress = self.pod_leg(source, &peer, service, &mut unknown_address);
        let destination =
            Subject { id: destination_id, line: destination_line, direction: Direction::Ingress };
        let peer = Peer { pod: Some((source_id, source_line)), address: Some(from) };
        let ingress = self.pod_leg(destination, &peer, service, &mut unknown_address);
        Some(FlowDecision { egress, ingress, unknown_address })
    }

    /// Every rule that [`Index::check_flow`] looks at for this request, egress and ingress: the same evaluation,
    /// without stopping at the first rule that allows.
    ///
    /// # Errors
    /// As [`Index::check_flow`].
    pub fn trace_flow(
        &self,
        request: &FlowRequest<'_>,
    ) -> Result<(Vec<RuleTrace>, Vec<RuleTrace>), FlowError> {
        let flow = self.flow(request)?;
        Ok((self.trace(&flow, Direction::Egress), self.trace(&flow, Direction::Ingress)))
    }

    #[inline(never)]
    fn flow<'f>(&'f self, request: &'f FlowRequest<'_>) -> Result<Flow<'f>, FlowError> {
        if request.port == 0 {
            return Err(FlowError::new("port", "must be between 1 and 65535"));
        }
        let source = self.resolve("source", &request.source)?;
        let destination = self.resolve("destination", &request.destination)?;
        match (source, destination) {
            (Resolved::One(source), Resolved::One(destination)) => {
                self.between(source, destination, true, request.protocol, request.port)
            }
            (source, destination) => {
                self.between_workloads(request, source.into_vec(), destination.into_vec())
            }
        }
    }

    pub(super) fn decide(&self, flow: &Flow<'_>) -> FlowDecision<'_> {
        let mut unknown_address = false;
        let egress = self.leg(flow, Direction::Egress, &mut unknown_address);
        let ingress = self.leg(flow, Direction::Ingress, &mut unknown_address);
        FlowDecision { egress, ingress, unknown_address }
    }

    fn leg(&self, flow: &Flow<'_>, direction: Direction, unknown_address: &mut bool) -> Leg<'_> {
        let (held, other) = (flow.held(direction), flow.other(direction));
        let pod = match (&held.who, held.line) {
            (Who::Pod(id), Some(line)) => Some(Subject { id: *id, line, direction }),
            _ => None,
        };
        let otherwise = |reason| Leg {
            allowed: true,
            reason,
            isolated: pod.is_some_and(|pod| pod.line.isolated),
            direction,
            held: pod.map_or(Held::Nobody, |pod| Held::Pod(self, pod.id)),
            first: First::None,
        };
        match (&held.who, &other.who) {
            _ if flow.within_pod => otherwise(LegReason::SelfTraffic),
            (Who::HostNetwork, _) => otherwise(LegReason::HostNetwork),
            (Who::Nobody, _) => otherwise(LegReason::NotAPod),
            (_, Who::Unborn(_)) | (Who::Unborn(_), _) => self.unborn_leg(flow, direction, unknown_address),
            (Who::Pod(_), other_who) => {
                let id = match other_who {
                    Who::Pod(id) => Some(*id),
                    Who::Unborn(_) | Who::HostNetwork | Who::Nobody => None,
                };
                let peer = Peer { pod: id.zip(other.line), address: other.address };
                match pod {
                    Some(pod) => self.pod_leg(pod, &peer, flow.service, unknown_address),
                    None => otherwise(LegReason::NotAPod),
                }
            }
        }
    }

    /// The policies that isolate an end, in order of their names.
    pub(super) fn isolating<'a>(&'a self, who: &'a Who, direction: Direction) -> &'a [Arc<CompiledPolicy>] {
        match who {
            Who::Pod(id) => self.isolating_identity(*id, direction),
            Who::Unborn(unborn) => unborn.isolating(direction),
            Who::HostNetwork | Who::Nobody => &[],
        }
    }

    /// The policies that isolate the pods of an identity, in order of their names.
    pub(super) fn isolating_identity(&self, id: u32, direction: Direction) -> &[Arc<CompiledPolicy>] {
        self.identities.get(id).map_or(&[], |identity| &identity.isolation(direction).policies)
    }
}

impl<'s> Flow<'s> {
    /// The end that policies of this direction hold.
    pub(super) fn held(&self, direction: Direction) -> &Party<'s> {
        match direction {
            Direction::Egress => &self.source,
            Direction::Ingress => &self.destination,
        }
    }

    /// The end that rules of this direction speak of.
    pub(super) fn other(&self, direction: Direction) -> &Party<'s> {
        match direction {
            Direction::Egress => &self.destination,
            Direction::Ingress => &self.source,
        }
    }
}

impl Index {
    /// The flow between two ends, each with the address it would use. `certain`: an end is one pod, not one of several.
    pub(super) fn between<'s>(
        &'s self,
        source: Candidate<'s>,
        destination: Candidate<'s>,
        certain: bool,
        protocol: Protocol,
        port: u16,
    ) -> Result<Flow<'s>, FlowError> {
        let (from, to) = meet(&source.addresses, &destination.addresses)?;
        let within_pod = certain && source.pod.is_some() && source.pod == destination.pod;
        Ok(Flow {
            source: self.party(source.who, from, Direction::Egress),
            destination: self.party(destination.who, to, Direction::Ingress),
            within_pod,
            service: Service { protocol, port },
        })
    }

    fn party<'f>(&'f self, who: Who, address: Option<&'f IpAddr>, direction: Direction) -> Party<'f> {
        let line = match who {
            Who::Pod(id) => self.lines.get(id).map(|sides| sides.line(direction)),
            Who::Unborn(_) | Who::HostNetwork | Who::Nobody => None,
        };
        Party { who, line, address }
    }
}

/// The addresses two ends use with each other: the destination's first of a family that the source has too. Two
/// addresses that were asked for are taken as they are.
#[inline]
fn meet<'s>(
    source: &Candidates<'s>,
    destination: &Candidates<'s>,
) -> Result<(Option<&'s IpAddr>, Option<&'s IpAddr>), FlowError> {
    if let (Candidates::Given(from), Candidates::Given(to)) = (source, destination) {
        return Ok((Some(from), Some(to)));
    }
    let is_ipv4 = |address: &IpAddr| address.to_canonical().is_ipv4();
    let (sources, destinations) = (source.as_slice(), destination.as_slice());
    if sources.is_empty() || destinations.is_empty() {
        return Ok((sources.first(), destinations.first()));
    }
    let pair = destinations.iter().find_map(|to| {
        let from = sources.iter().find(|from| is_ipv4(from) == is_ipv4(to))?;
        Some((Some(from), Some(to)))
    });
    pair.ok_or_else(|| {
        let list = |addresses: &[IpAddr]| {
            addresses
                .iter()
                .map(|address| address.to_canonical().to_string())
                .collect::<Vec<_>>()
                .join(" and ")
        };
        let (from, to) = (list(sources), list(destinations));
        FlowError::new(
            "destination",
            format!("has {to}, the source {from}: no address family is common to both"),
        )
    })
}
