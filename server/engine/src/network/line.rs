//! What a question reads of an identity: one line of memory for the direction it asks for.

use super::isolation::Isolation;
use super::policy::Direction;
use super::step::{ANY_POD, NO_POD, OWN_NAMESPACE, Step};
use crate::object::Protocol;
use crate::persist::Pages;

/// Lines by identity. Plain data in large pieces: they are copied when policies or identities change, which is seldom,
/// and read twice a question.
pub(super) type Lines = Pages<Sides>;

/// An identity's lines.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sides {
    egress: Line,
    ingress: Line,
}

/// Steps in a line. Whoever has more keeps the rest in [`Isolation::steps`].
pub(super) const IN_LINE: usize = 6;

/// An identity in one direction. Of the source of a flow the egress line is read, of the destination the ingress
/// line: each tells all that the other end's rules ask for most, too.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Line {
    /// Facts for its own namespace: the selectors there that match it and that rules ask for, by their bits, and
    /// [`OWN_NAMESPACE`].
    pub(super) own: u64,
    pub(super) namespace: u32,
    /// Whether any policy isolates it.
    pub(super) isolated: bool,
    /// There are more steps than these.
    pub(super) more: bool,
    steps: [Step; IN_LINE],
}

impl Default for Line {
    fn default() -> Self {
        let (own, steps) = (1 << OWN_NAMESPACE, [Step::default(); IN_LINE]);
        Self { own, namespace: u32::MAX, isolated: false, more: false, steps }
    }
}

/// What is known of the other end of a flow, from the view of a pod of this namespace: a bit for each fact.
#[inline(always)]
pub(super) fn facts(other: Option<&Line>, namespace: u32) -> u64 {
    match other {
        None => NO_POD,
        // Without a branch: nobody can guess whether the namespace is the same.
        Some(other) => ANY_POD | other.own & u64::from(other.namespace == namespace).wrapping_neg(),
    }
}

impl Line {
    /// The steps that pass so far, a bit each. Those that are no facts remain to be asked.
    #[inline(always)]
    pub(super) fn run(&self, facts: u64, protocol: Protocol, port: u16) -> u32 {
        // Written out: as a loop it becomes one, with branches.
        let [a, b, c, d, e, f] = &self.steps;
        a.passes_so_far(facts, protocol, port)
            | b.passes_so_far(facts, protocol, port) << 1
            | c.passes_so_far(facts, protocol, port) << 2
            | d.passes_so_far(facts, protocol, port) << 3
            | e.passes_so_far(facts, protocol, port) << 4
            | f.passes_so_far(facts, protocol, port) << 5
    }

    /// One step.
    #[inline(always)]
    pub(super) fn step(&self, place: usize) -> Step {
        self.steps.get(place).copied().unwrap_or_default()
    }

    fn show(&mut self, isolation: &Isolation) {
        self.isolated = !isolation.policies.is_empty();
        self.more = isolation.steps.len() > IN_LINE;
        self.steps = std::array::from_fn(|place| isolation.steps.get(place).copied().unwrap_or_default());
    }
}

impl Sides {
    pub(super) fn new(namespace: u32, own: u64, ingress: &Isolation, egress: &Isolation) -> Self {
        let line = Line { namespace, own: own | 1 << OWN_NAMESPACE, ..Line::default() };
        let mut sides = Self { egress: line, ingress: line };
        sides.show(ingress, egress);
        sides
    }

    /// The steps have changed.
    pub(super) fn show(&mut self, ingress: &Isolation, egress: &Isolation) {
        self.ingress.show(ingress);
        self.egress.show(egress);
    }

    /// A selector of the own namespace matches from now on, or no longer.
    pub(super) fn select(&mut self, bit: u8, matches: bool) {
        for line in [&mut self.egress, &mut self.ingress] {
            line.own = line.own & !(1 << bit) | u64::from(matches) << bit;
        }
    }

    #[inline]
    pub(super) fn line(&self, direction: Direction) -> &Line {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}
