//! A persistent hash table, in the manner of [`hashbrown::HashTable`]: the caller hashes and compares.

use std::sync::Arc;

use hashbrown::HashTable;

/// A leaf with more entries than this becomes a branch. With 16 ways, leaves are then 3 to 48 entries full.
pub(super) const SPLIT: usize = 48;
const WAYS: usize = 16;
const BITS: u32 = WAYS.trailing_zeros();
/// Leaves use the lowest and the seven highest bits of a hash; the trie uses those between.
const FIRST_BIT: u32 = 16;
const MAX_DEPTH: u32 = 9;

/// A persistent hash table of `T`.
#[derive(Clone, Debug)]
pub(crate) struct Table<T> {
    root: Node<T>,
}

#[derive(Clone, Debug)]
enum Node<T> {
    Empty,
    Leaf(Arc<HashTable<T>>),
    Branch(Arc<[Node<T>; WAYS]>),
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { root: Node::Empty }
    }
}

const fn way(hash: u64, depth: u32) -> usize {
    (hash >> (FIRST_BIT + depth * BITS)) as usize % WAYS
}

impl<T: Clone> Table<T> {
    /// The entry with this hash for which `is_equal` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_equal: impl FnMut(&T) -> bool) -> Option<&T> {
        let mut node = &self.root;
        let mut bits = hash >> FIRST_BIT;
        loop {
            match node {
                Node::Branch(ways) => {
                    node = &ways[bits as usize % WAYS];
                    bits >>= BITS;
                }
                Node::Leaf(leaf) => return leaf.find(hash, is_equal),
                Node::Empty => return None,
            }
        }
    }

    /// As [`Table::find`], to change the entry. Nothing is copied when there is no such entry.
    pub(crate) fn find_mut(&mut self, hash: u64, mut is_equal: impl FnMut(&T) -> bool) -> Option<&mut T> {
        self.find(hash, &mut is_equal)?;
        let mut node = &mut self.root;
        let mut depth = 0;
        loop {
            match node {
                Node::Branch(ways) => {
                    node = &mut Arc::make_mut(ways)[way(hash, depth)];
                    depth += 1;
                }
                Node::Leaf(leaf) => return Arc::make_mut(leaf).find_mut(hash, is_equal),
                Node::Empty => return None,
            }
        }
    }

    /// Adds an entry. The caller knows that no equal one is there; `hasher` gives the hash of any entry.
    pub(crate) fn insert(&mut self, hash: u64, entry: T, hasher: impl Fn(&T) -> u64) {
        let mut node = &mut self.root;
        let mut depth = 0;
        loop {
            match node {
                Node::Branch(ways) => {
                    node = &mut Arc::make_mut(ways)[way(hash, depth)];
                    depth += 1;
                }
                Node::Leaf(leaf) if leaf.len() < SPLIT || depth == MAX_DEPTH => {
                    Arc::make_mut(leaf).insert_unique(hash, entry, hasher);
                    return;
                }
                Node::Leaf(leaf) => {
                    let mut ways: [HashTable<T>; WAYS] =
                        std::array::from_fn(|_| HashTable::with_capacity(SPLIT / WAYS));
                    for entry in leaf.iter() {
                        let hash = hasher(entry);
                        ways[way(hash, depth)].insert_unique(hash, entry.clone(), &hasher);
                    }
                    *node =
                        Node::Branch(Arc::new(ways.map(|leaf| {
                            if leaf.is_empty() { Node::Empty } else { Node::Leaf(Arc::new(leaf)) }
                        })));
                }
                Node::Empty => {
                    let mut leaf = HashTable::with_capacity(1);
                    leaf.insert_unique(hash, entry, hasher);
                    *node = Node::Leaf(Arc::new(leaf));
                    return;
                }
            }
        }
    }

    /// Takes the entry with this hash out for which `is_equal` holds.
    pub(crate) fn remove(&mut self, hash: u64, mut is_equal: impl FnMut(&T) -> bool) -> Option<T> {
        self.find(hash, &mut is_equal)?;
        let mut node = &mut self.root;
        let mut depth = 0;
        loop {
            match node {
                Node::Branch(ways) => {
                    node = &mut Arc::make_mut(ways)[way(hash, depth)];
                    depth += 1;
                }
                Node::Leaf(leaf) => {
                    let table = Arc::make_mut(leaf);
                    let (entry, _) = table.find_entry(hash, is_equal).ok()?.remove();
                    if table.is_empty() {
                        *node = Node::Empty;
                    }
                    return Some(entry);
                }
                Node::Empty => return None,
            }
        }
    }
}
