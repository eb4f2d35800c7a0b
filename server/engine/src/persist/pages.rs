//! A persistent array of plain data, for what every question reads.

use std::sync::Arc;

const PAGE: usize = 16;
const PAGES: usize = 32;

/// As [`Vector`](super::Vector), for plain data: three reads to any place, without a branch. The root is as long as it
/// has to be, so that a change costs a little more the more places there are.
#[derive(Clone, Debug)]
pub(crate) struct Pages<T> {
    root: Arc<[Book<T>]>,
}

type Book<T> = Arc<[Page<T>; PAGES]>;
type Page<T> = Arc<[T; PAGE]>;

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { root: Arc::new([]) }
    }
}

impl<T: Copy + Default> Pages<T> {
    /// The value at `index`, if that place or one near it was ever set.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let index = index as usize;
        let book = self.root.get(index / (PAGE * PAGES))?;
        Some(&book[index / PAGE % PAGES][index % PAGE])
    }

    /// The value at `index`, to be changed.
    pub(crate) fn get_mut(&mut self, index: u32) -> &mut T {
        let index = index as usize;
        let book = index / (PAGE * PAGES);
        if book >= self.root.len() {
            let empty = Arc::new([T::default(); PAGE]);
            let new = (self.root.len()..=book).map(|_| Arc::new(std::array::from_fn(|_| Arc::clone(&empty))));
            self.root = self.root.iter().cloned().chain(new).collect();
        }
        let page = &mut Arc::make_mut(&mut Arc::make_mut(&mut self.root)[book])[index / PAGE % PAGES];
        &mut Arc::make_mut(page)[index % PAGE]
    }
}
