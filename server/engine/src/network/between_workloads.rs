//! Flows between workloads: all their pods must agree.

use std::collections::HashSet;
use std::net::IpAddr;

use super::Index;
use super::ends::{Candidate, Who};
use super::evaluate::Flow;
use super::policy::Direction;
use super::question::{FlowError, FlowRequest};

impl Index {
    /// The flow between the first pods of either end, if it stands for those between all of them.
    pub(super) fn between_workloads<'s>(
        &'s self,
        request: &'s FlowRequest<'_>,
        sources: Vec<Candidate<'s>>,
        destinations: Vec<Candidate<'s>>,
    ) -> Result<Flow<'s>, FlowError> {
        // One of several replicas may call another one: that is not traffic within a pod.
        let certain = sources.len() == 1 && destinations.len() == 1;
        let source_addresses = self.looks_at_addresses(&destinations, Direction::Ingress);
        let destination_addresses = self.looks_at_addresses(&sources, Direction::Egress);
        let sources = distinct(sources, source_addresses);
        let destinations = distinct(destinations, destination_addresses);
        let flow = |source: &Candidate<'s>, destination: &Candidate<'s>| {
            self.between(source.clone(), destination.clone(), certain, request.protocol, request.port)
        };
        let mut first = None;
        for (row, source) in sources.iter().enumerate() {
            for (column, destination) in destinations.iter().enumerate() {
                let flow = flow(source, destination)?;
                let allowed = self.decide(&flow).allowed();
                let Some((_, verdict)) = &first else {
                    first = Some((flow, allowed));
                    continue;
                };
                if *verdict == allowed {
                    continue;
                }
                // All pairs before this one agree: the last step made the difference.
                let (role, one, other) = if column == 0 {
                    ("source", &sources[0], &sources[row])
                } else {
                    ("destination", &destinations[0], &destinations[column])
                };
                return Err(self.disagreement(role, one, *verdict, other));
            }
        }
        first.map(|(flow, _)| flow).ok_or_else(|| FlowError::new("source.workload", "has no pods"))
    }

    fn disagreement(
        &self,
        role: &str,
        one: &Candidate<'_>,
        allowed: bool,
        other: &Candidate<'_>,
    ) -> FlowError {
        let name = |candidate: &Candidate<'_>| {
            let pod = candidate.pod.and_then(|pod| self.pods.get(pod));
            pod.map_or_else(String::new, |pod| pod.name.to_string())
        };
        let (allowed, denied) = if allowed { (one, other) } else { (other, one) };
        FlowError::new(
            format!("{role}.workload"),
            format!(
                "its pods do not agree: the flow is allowed for pod \"{}\" and denied for pod \"{}\"; ask for one of them",
                name(allowed),
                name(denied)
            ),
        )
    }

    /// Whether an address can make a difference to the policies of these ends.
    fn looks_at_addresses(&self, held: &[Candidate<'_>], direction: Direction) -> bool {
        let policies = |candidate| self.isolating(candidate, direction).iter();
        let rules = held.iter().map(|candidate| &candidate.who).flat_map(policies);
        rules.flat_map(|policy| policy.rules(direction)).any(|rule| rule.addresses.is_some())
    }
}

/// The pods between which no policy could tell a difference, each such group once.
fn distinct(candidates: Vec<Candidate<'_>>, by_address: bool) -> Vec<Candidate<'_>> {
    let mut seen = HashSet::new();
    let is_new = |candidate: &Candidate<'_>| {
        let identity = match &candidate.who {
            Who::Pod(id) => Some(*id),
            Who::Unborn(_) | Who::HostNetwork | Who::Nobody => None,
        };
        let addresses = candidate.addresses.as_slice();
        let families: Vec<_> = addresses.iter().map(IpAddr::is_ipv4).collect();
        let addresses = if by_address { addresses.to_vec() } else { Vec::new() };
        seen.insert((identity, families, addresses))
    };
    let mut is_new = is_new;
    candidates.into_iter().filter(|candidate| is_new(candidate)).collect()
}
