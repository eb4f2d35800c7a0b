//! Values, each with a number, found by what they are.

use super::{Slab, Table};

/// A persistent table of values that are found by a part of themselves (which the caller hashes and compares), and
/// known by number to everybody else.
#[derive(Clone, Debug)]
pub(crate) struct Registry<T> {
    values: Slab<T>,
    /// Hashes are kept, so that growing looks at no value.
    ids: Table<(u64, u32)>,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self { values: Slab::default(), ids: Table::default() }
    }
}

impl<T: Clone> Registry<T> {
    /// The value with this hash for which `is_equal` holds.
    pub(crate) fn find(&self, hash: u64, mut is_equal: impl FnMut(&T) -> bool) -> Option<(u32, &T)> {
        let equal = |(other, id): &(u64, u32)| *other == hash && self.get(*id).is_some_and(&mut is_equal);
        let (_, id) = *self.ids.find(hash, equal)?;
        Some((id, self.get(id)?))
    }

    /// Adds a value; the caller knows that no equal one is there.
    pub(crate) fn insert(&mut self, hash: u64, value: T) -> u32 {
        let id = self.values.insert(value);
        self.ids.insert(hash, (hash, id), |(hash, _)| *hash);
        id
    }

    /// The value known as `id`.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.values.get(id)
    }

    /// The value known as `id`, to be changed in anything but what it is found by.
    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.values.get_mut(id)
    }

    /// Forgets the value known as `id`, which was added with `hash`.
    pub(crate) fn remove(&mut self, hash: u64, id: u32) -> Option<T> {
        self.ids.remove(hash, |entry| *entry == (hash, id))?;
        self.values.remove(id)
    }

    /// Numbers and values, in order of the numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.values.iter()
    }
}
