//! A persistent array, indexed by small integers.

use std::sync::Arc;

const LEAF_BITS: u32 = 4;
const LEAF: usize = 1 << LEAF_BITS;
const WAY_BITS: u32 = 5;
const WAYS: usize = 1 << WAY_BITS;

/// A persistent array of `T`. Places that were never set hold `T::default()` and cost nothing in between.
#[derive(Clone, Debug)]
pub(crate) struct Vector<T> {
    root: Node<T>,
    /// How many levels of branches lie above the leaves.
    height: u32,
}

#[derive(Clone, Debug)]
enum Node<T> {
    Empty,
    Leaf(Arc<[T; LEAF]>),
    Branch(Arc<[Node<T>; WAYS]>),
}

impl<T> Default for Vector<T> {
    fn default() -> Self {
        Self { root: Node::Empty, height: 0 }
    }
}

/// Which way to go at a branch that has `height` levels (itself included) above the leaves.
const fn way(index: u32, height: u32) -> usize {
    (index >> (LEAF_BITS + (height - 1) * WAY_BITS)) as usize % WAYS
}

impl<T: Clone + Default> Vector<T> {
    /// Whether places up to `index` fit under the present height.
    fn fits(&self, index: u32) -> bool {
        let bits = LEAF_BITS + self.height * WAY_BITS;
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
                    node = &ways[way(index, height)];
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
                    node = &mut Arc::make_mut(ways)[way(index, height)];
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
