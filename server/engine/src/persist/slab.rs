//! Numbered places for values.

use super::Vector;

/// A persistent table that hands out the numbers its values are known by. Numbers of removed values are used again.
#[derive(Clone, Debug)]
pub(crate) struct Slab<T> {
    /// Small leaves: copying one that holds `Arc`s writes to each of them.
    places: Vector<Option<T>, 8>,
    /// The first `free_len` places of this stack are numbers free to be used again.
    free: Vector<u32, 64>,
    free_len: u32,
    next: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vector::default(), free: Vector::default(), free_len: 0, next: 0 }
    }
}

impl<T: Clone> Slab<T> {
    /// Keeps `value`, and tells the number it is known by.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let id = if self.free_len > 0 {
            self.free_len -= 1;
            *self.free.get_mut(self.free_len)
        } else {
            self.next += 1;
            self.next - 1
        };
        *self.places.get_mut(id) = Some(value);
        id
    }

    /// The value known as `id`.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.places.get(id)?.as_ref()
    }

    /// The value known as `id`, to be changed. Nothing is copied when there is none.
    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.get(id)?;
        self.places.get_mut(id).as_mut()
    }

    /// Forgets the value known as `id`.
    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        self.get(id)?;
        let value = self.places.get_mut(id).take();
        *self.free.get_mut(self.free_len) = id;
        self.free_len += 1;
        value
    }

    /// Numbers and values, in order of the numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..self.next).filter_map(|id| Some((id, self.get(id)?)))
    }
}
