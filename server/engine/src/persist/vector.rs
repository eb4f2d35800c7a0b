//! A persistent array, indexed by small integers.

use std::sync::Arc;

/// A persistent array of `T`. Places that were never set hold `T::default()` and cost nothing in between.
///
/// `LEAF` and `WAYS` are powers of two. A change copies one leaf and the branches above it, and copying a branch
/// writes to every node below it (their counts of references), wherever in memory they are: few ways make changes
/// cheap, many make reading quick.
#[derive(Clone, Debug)]
pub(crate) struct Vector<T, const LEAF: usize = 16, const WAYS: usize = 8> {
    root: Node<T, LEAF, WAYS>,
    /// How many levels of branches lie above the leaves.
    height: u32,
}

#[derive(Clone, Debug)]
enum Node<T, const LEAF: usize, const WAYS: usize> {
    Empty,
    Leaf(Arc<[T; LEAF]>),
    Branch(Arc<[Node<T, LEAF, WAYS>; WAYS]>),
}

impl<T, const LEAF: usize, const WAYS: usize> Default for Vector<T, LEAF, WAYS> {
    fn default() -> Self {
        Self { root: Node::Empty, height: 0 }
    }
}

impl<T: Clone + Default, const LEAF: usize, const WAYS: usize> Vector<T, LEAF, WAYS> {
    const LEAF_BITS: u32 = LEAF.trailing_zeros();
    const WAY_BITS: u32 = WAYS.trailing_zeros();

    /// Which way to go at a branch that has `height` levels (itself included) above the leaves.
    const fn way(index: u32, height: u32) -> usize {
        (index >> (Self::LEAF_BITS + (height - 1) * Self::WAY_BITS)) as usize % WAYS
    }

    /// Whether places up to `index` fit under the present height.
    fn fits(&self, index: u32) -> bool {
        let bits = Self::LEAF_BITS + self.height * Self::WAY_BITS;
        bits >= u32::BITS || index >> bits == 0
    }

    /// The value at `index`, if that place or one near it was ever set.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        if !self.fits(index) {
            return None;
        }
        let mut height = self.height;
        let mut node = &self.root;
        loop {
            match node {
                Node::Branch(ways) => {
                    node = &ways[Self::way(index, height)];
                    height -= 1;
                }
                Node::Leaf(leaf) => return Some(&leaf[index as usize % LEAF]),
                Node::Empty => return None,
            }
        }
    }

    /// The value at `index`, to be changed.
    pub(crate) fn get_mut(&mut self, index: u32) -> &mut T {
        while !self.fits(index) {
            if !matches!(self.root, Node::Empty) {
                let mut ways = [const { Node::Empty }; WAYS];
                ways[0] = std::mem::replace(&mut self.root, Node::Empty);
                self.root = Node::Branch(Arc::new(ways));
            }
            self.height += 1;
        }
        let mut height = self.height;
        let mut node = &mut self.root;
        loop {
            match node {
                Node::Branch(ways) => {
                    node = &mut Arc::make_mut(ways)[Self::way(index, height)];
                    height -= 1;
                }
                Node::Leaf(leaf) => return &mut Arc::make_mut(leaf)[index as usize % LEAF],
                Node::Empty if height == 0 => {
                    *node = Node::Leaf(Arc::new(std::array::from_fn(|_| T::default())));
                }
                Node::Empty => *node = Node::Branch(Arc::new([const { Node::Empty }; WAYS])),
            }
        }
    }
}
