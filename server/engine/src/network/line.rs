//! What a question reads of an identity: one line of memory for the direction it asks for.

use super::isolation::Isolation;
use super::policy::Direction;
use super::step::{OWN_NAMESPACE, Step};
use crate::persist::Vector;

/// Lines by identity. Plain data in large pieces: they are copied when policies or identities change, which is seldom,
/// and read twice a question.
pub(super) type Lines = Vector<Sides, 16, 32>;

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
    /// The selectors of its own namespace that match it and that rules there ask for, by their bits; the highest bit is
    /// always set.
    pub(super) own: u64,
    pub(super) namespace: u32,
    /// Whether any policy isolates it.
    pub(super) isolated: bool,
    /// There are more steps than these.
    pub(super) more: bool,
    len: u8,
    steps: [Step; IN_LINE],
}

impl Default for Line {
    fn default() -> Self {
        let (own, steps) = (1 << OWN_NAMESPACE, [Step::default(); IN_LINE]);
        Self { own, namespace: u32::MAX, isolated: false, more: false, len: 0, steps }
    }
}

impl Line {
    #[inline]
    pub(super) fn steps(&self) -> &[Step] {
        self.steps.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn show(&mut self, isolation: &Isolation) {
        self.isolated = !isolation.policies.is_empty();
        self.more = isolation.steps.len() > IN_LINE;
        self.len = isolation.steps.len().min(IN_LINE) as u8;
        for (place, step) in self.steps.iter_mut().zip(&isolation.steps) {
            *place = *step;
        }
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
