//! The edges of the trie: a hash table with open addressing, whose slots hold all that a lookup compares.
//!
//! A lookup in a table of a million edges waits for memory once: the slot. (A table that keeps control bytes apart,
//! as hashbrown does, waits twice, and the walk of a topic is nothing but such lookups.)

use super::level::{Key, fold};

/// In place of a node id: no node.
pub(super) const NONE: u32 = u32::MAX;

/// Slots of an empty table; a power of two, as every later size.
const SLOTS_MIN: usize = 8;

/// `parent` goes to `child` by a literal level. An empty slot has no child.
#[derive(Debug, Clone, Copy)]
struct Edge {
    key: Key,
    parent: u32,
    child: u32,
}

/// A level to look for, with the hash of its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) key: Key,
    hash: u64,
}

/// All edges. Invariants: at most five eighths of the slots are taken; between the slot where the hash of an edge
/// points and the slot where it is, no slot is empty.
#[derive(Debug)]
pub(super) struct Edges {
    slots: Vec<Edge>,
    len: usize,
    seeds: [u64; 2],
}

const EMPTY: Edge = Edge { key: Key::EMPTY, parent: NONE, child: NONE };

impl Edges {
    /// A table without edges; secret `seeds` keep strangers from choosing levels that collide.
    pub(super) fn new(seeds: [u64; 2]) -> Self {
        Self { slots: vec![EMPTY; SLOTS_MIN], len: 0, seeds }
    }

    /// `key` with its hash.
    #[inline]
    pub(super) fn part(&self, key: Key) -> Part {
        Part { key, hash: key.hash(self.seeds) }
    }

    /// The child of `parent` by `part`.
    #[inline]
    pub(super) fn find(&self, parent: u32, part: Part) -> Option<u32> {
        let mut at = self.home(parent, part.hash);
        loop {
            let edge = &self.slots[at];
            if edge.parent == parent && edge.key == part.key {
                return Some(edge.child);
            }
            if edge.child == NONE {
                return None;
            }
            at = self.next(at);
        }
    }

    /// Adds an edge that is not there.
    pub(super) fn insert(&mut self, parent: u32, key: Key, child: u32) {
        if (self.len + 1) * 8 > self.slots.len() * 5 {
            let slots = vec![EMPTY; self.slots.len() * 2];
            for edge in std::mem::replace(&mut self.slots, slots) {
                if edge.child != NONE {
                    self.place(edge);
                }
            }
        }
        self.place(Edge { key, parent, child });
        self.len += 1;
    }

    /// Takes out an edge that is there, and closes the gap.
    pub(super) fn remove(&mut self, parent: u32, part: Part) {
        let mut hole = self.home(parent, part.hash);
        while self.slots[hole].parent != parent || self.slots[hole].key != part.key {
            assert_ne!(self.slots[hole].child, NONE, "an edge to remove is there");
            hole = self.next(hole);
        }
        let mut at = hole;
        loop {
            at = self.next(at);
            let edge = self.slots[at];
            if edge.child == NONE {
                break;
            }
            // The edge may move into the hole unless its hash points behind the hole.
            let home = self.home(edge.parent, edge.key.hash(self.seeds));
            let mask = self.slots.len() - 1;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = edge;
                hole = at;
            }
        }
        self.slots[hole] = EMPTY;
        self.len -= 1;
    }

    fn place(&mut self, edge: Edge) {
        let mut at = self.home(edge.parent, edge.key.hash(self.seeds));
        while self.slots[at].child != NONE {
            at = self.next(at);
        }
        self.slots[at] = edge;
    }

    /// The slot where the hash of an edge points.
    #[inline]
    fn home(&self, parent: u32, level: u64) -> usize {
        fold(level ^ u64::from(parent), 0x9e37_79b9_7f4a_7c15) as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::level::Levels;
    use super::*;

    proptest! {
        /// Against a map, with few slots so that runs of edges wrap around and close again.
        #[test]
        fn a_table_is_a_map(steps in prop::collection::vec((0..4_u32, 0..12_u8, any::<bool>()), 1..300)) {
            let levels = Levels::new();
            let key = |level: u8| levels.key(&level.to_string(), 0, level.to_string().len());
            let (mut edges, mut map) = (Edges::new([3, 5]), HashMap::new());
            for (child, (parent, level, add)) in (0..).zip(steps) {
                if add && !map.contains_key(&(parent, level)) {
                    edges.insert(parent, key(level), child);
                    map.insert((parent, level), child);
                } else if !add && map.remove(&(parent, level)).is_some() {
                    edges.remove(parent, edges.part(key(level)));
                }
                prop_assert_eq!(edges.len(), map.len());
                for parent in 0..4 {
                    for level in 0..12 {
                        let found = edges.find(parent, edges.part(key(level)));
                        prop_assert_eq!(found, map.get(&(parent, level)).copied());
                    }
                }
            }
        }
    }
}
