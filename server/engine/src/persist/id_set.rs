//! Sets of small integers.

use smallvec::SmallVec;

use super::Vector;

/// Longer lists become bits.
pub(super) const MAX_LIST: usize = 128;

/// A persistent set of small integers: most sets have few members, some have nearly all.
#[derive(Clone, Debug)]
pub(crate) enum IdSet {
    /// In ascending order, none twice.
    List(SmallVec<[u32; 4]>),
    /// Bit `id % 64` of word `id / 64`. Boxed to keep the common form small.
    Bits(Box<Bits>),
}

#[derive(Clone, Debug)]
pub(crate) struct Bits {
    words: Vector<u64>,
    /// One more than the highest word ever used.
    end: u32,
    len: usize,
}

impl Default for IdSet {
    fn default() -> Self {
        IdSet::List(SmallVec::new())
    }
}

impl IdSet {
    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            IdSet::List(ids) => ids.len(),
            IdSet::Bits(bits) => bits.len,
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `id` is a member.
    #[inline]
    pub(crate) fn contains(&self, id: u32) -> bool {
        match self {
            IdSet::List(ids) => ids.binary_search(&id).is_ok(),
            IdSet::Bits(bits) => bits.words.get(id / 64).is_some_and(|word| word >> (id % 64) & 1 == 1),
        }
    }

    /// Adds `id`; tells whether it was not there.
    pub(crate) fn insert(&mut self, id: u32) -> bool {
        match self {
            IdSet::List(ids) => {
                let Err(place) = ids.binary_search(&id) else { return false };
                if ids.len() < MAX_LIST {
                    ids.insert(place, id);
                } else {
                    let mut bits = Bits { words: Vector::default(), end: 0, len: 0 };
                    ids.iter().for_each(|id| bits.insert(*id));
                    bits.insert(id);
                    *self = IdSet::Bits(Box::new(bits));
                }
                true
            }
            IdSet::Bits(_) if self.contains(id) => false,
            IdSet::Bits(bits) => {
                bits.insert(id);
                true
            }
        }
    }

    /// Takes `id` out; tells whether it was there.
    pub(crate) fn remove(&mut self, id: u32) -> bool {
        if !self.contains(id) {
            return false;
        }
        match self {
            IdSet::List(ids) => ids.retain(|other| *other != id),
            IdSet::Bits(bits) => {
                *bits.words.get_mut(id / 64) &= !(1 << (id % 64));
                bits.len -= 1;
                // Half the length at which lists become bits, so that a set at the border does not swing.
                if bits.len <= MAX_LIST / 2 {
                    *self = IdSet::List(self.iter().collect());
                }
            }
        }
        true
    }

    /// Members in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let (list, bits) = match self {
            IdSet::List(ids) => (ids.as_slice(), None),
            IdSet::Bits(bits) => ([].as_slice(), Some(bits)),
        };
        list.iter().copied().chain(bits.into_iter().flat_map(|bits| bits.iter()))
    }
}

impl Bits {
    fn insert(&mut self, id: u32) {
        *self.words.get_mut(id / 64) |= 1 << (id % 64);
        self.end = self.end.max(id / 64 + 1);
        self.len += 1;
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.end).flat_map(|index| {
            let word = self.words.get(index).copied().unwrap_or(0);
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index * 64 + bit)
        })
    }
}
