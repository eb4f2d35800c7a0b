//! A persistent hash table of small entries, for what every question reads.

use std::sync::Arc;

/// Leaves grow up to this many places, then they become a branch.
const MAX_PLACES: usize = 256;
const MIN_PLACES: usize = 4;
const WAYS: usize = 16;
const BITS: u32 = WAYS.trailing_zeros();
/// Leaves use the lowest bits of a hash; the trie uses those from here on.
const FIRST_BIT: u32 = 16;
const MAX_DEPTH: u32 = 11;

/// As [`Table`](super::Table), for entries without owners or drops. A leaf is one piece of memory, read from the place
/// that the hash tells: mostly one line of it, where a table with a header and control bytes reads three. `Option<T>`
/// should be no larger than `T`.
#[derive(Clone, Debug)]
pub(crate) struct FlatTable<T> {
    root: Node<T>,
}

#[derive(Clone, Debug)]
enum Node<T> {
    Empty,
    /// As many places as a power of two, at most half of them used. Linear probing.
    Leaf {
        places: Arc<[Option<T>]>,
        used: u32,
    },
    Branch(Arc<[Node<T>; WAYS]>),
}

impl<T> Default for FlatTable<T> {
    fn default() -> Self {
        Self { root: Node::Empty }
    }
}

const fn way(hash: u64, depth: u32) -> usize {
    (hash >> (FIRST_BIT + depth * BITS)) as usize % WAYS
}

impl<T: Copy> FlatTable<T> {
    /// The entry with this hash for which `is_equal` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_equal: impl Fn(&T) -> bool) -> Option<&T> {
        let mut node = &self.root;
        let mut bits = hash >> FIRST_BIT;
        loop {
            match node {
                Node::Branch(ways) => {
                    node = &ways[bits as usize % WAYS];
                    bits >>= BITS;
                }
                Node::Leaf { places, .. } => return places[probe(places, hash, is_equal)].as_ref(),
                Node::Empty => return None,
            }
        }
    }

    /// As [`FlatTable::find`], to change the entry. Nothing is copied when there is no such entry.
    pub(crate) fn find_mut(&mut self, hash: u64, is_equal: impl Fn(&T) -> bool) -> Option<&mut T> {
        self.find(hash, &is_equal)?;
        match self.descend(hash).0 {
            Node::Leaf { places, .. } => {
                let place = probe(places, hash, is_equal);
                Arc::make_mut(places)[place].as_mut()
            }
            Node::Empty | Node::Branch(_) => None,
        }
    }

    /// Adds an entry. The caller knows that no equal one is there; `hasher` gives the hash of any entry.
    pub(crate) fn insert(&mut self, hash: u64, entry: T, hasher: impl Fn(&T) -> u64) {
        loop {
            let (node, depth) = self.descend(hash);
            let (places, used) = match node {
                Node::Leaf { places, used } => (places, used),
                Node::Empty | Node::Branch(_) => {
                    *node = leaf(MIN_PLACES, &[]);
                    continue;
                }
            };
            if (*used as usize + 1) * 2 <= places.len() {
                *used += 1;
                return put(Arc::make_mut(places), hash, entry);
            }
            let entries: Vec<_> = places.iter().flatten().map(|entry| (hasher(entry), *entry)).collect();
            *node = if places.len() < MAX_PLACES || depth == MAX_DEPTH {
                leaf(places.len() * 2, &entries)
            } else {
                let mut ways: [Vec<_>; WAYS] = Default::default();
                entries.into_iter().for_each(|entry| ways[way(entry.0, depth)].push(entry));
                Node::Branch(Arc::new(ways.map(|entries| {
                    // Room for one more, at least.
                    let places = (entries.len() * 2 + 2).next_power_of_two();
                    if entries.is_empty() { Node::Empty } else { leaf(places, &entries) }
                })))
            };
        }
    }

    /// Takes the entry with this hash out for which `is_equal` holds; `hasher` gives the hash of any entry.
    pub(crate) fn remove(
        &mut self,
        hash: u64,
        is_equal: impl Fn(&T) -> bool,
        hasher: impl Fn(&T) -> u64,
    ) -> Option<T> {
        self.find(hash, &is_equal)?;
        let (node, _) = self.descend(hash);
        let Node::Leaf { places, used } = node else { return None };
        let mut hole = probe(places, hash, is_equal);
        let last = places.len() - 1;
        let places = Arc::make_mut(places);
        let entry = places[hole].take();
        // Whoever was pushed beyond the hole by others moves up, so that nobody is looked for across a gap.
        let mut place = (hole + 1) & last;
        while let Some(other) = places[place] {
            let home = hasher(&other) as usize & last;
            if (place.wrapping_sub(home) & last) >= (place.wrapping_sub(hole) & last) {
                places[hole] = places[place].take();
                hole = place;
            }
            place = (place + 1) & last;
        }
        *used -= 1;
        if *used == 0 {
            *node = Node::Empty;
        }
        entry
    }

    /// The leaf where the hash belongs, or the empty place of one, and its depth.
    fn descend(&mut self, hash: u64) -> (&mut Node<T>, u32) {
        let mut node = &mut self.root;
        let mut depth = 0;
        while let Node::Branch(ways) = node {
            node = &mut Arc::make_mut(ways)[way(hash, depth)];
            depth += 1;
        }
        (node, depth)
    }
}

/// A leaf of these entries with their hashes.
fn leaf<T: Copy>(places: usize, entries: &[(u64, T)]) -> Node<T> {
    let mut leaf = vec![None; places];
    entries.iter().for_each(|(hash, entry)| put(&mut leaf, *hash, *entry));
    Node::Leaf { places: leaf.into(), used: entries.len() as u32 }
}

/// Where the entry is, else the empty place where the search for it ended. Half of the places are always empty.
#[inline]
fn probe<T>(places: &[Option<T>], hash: u64, is_equal: impl Fn(&T) -> bool) -> usize {
    let last = places.len() - 1;
    let mut place = hash as usize & last;
    while let Some(entry) = &places[place & last] {
        if is_equal(entry) {
            break;
        }
        place = place.wrapping_add(1);
    }
    place & last
}

fn put<T>(places: &mut [Option<T>], hash: u64, entry: T) {
    let place = probe(places, hash, |_| false);
    places[place] = Some(entry);
}
