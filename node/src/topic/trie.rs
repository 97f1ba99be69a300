//! The subscriptions of one worker thread: finds every filter that a Topic Name matches.
//!
//! Filters without wildcards live in one hash table. The others form a trie whose nodes lie in one array and whose
//! edges lie in one hash table, so that a publish costs a few probes for each of its levels, however many filters
//! there are. Nodes and level texts are freed with the last filter that needs them.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::edge::{Edges, NONE, Part};
use super::exact::Exact;
use super::filter::{is_wildcard, split_tail};
use super::level::Levels;
use super::values::Values;

const ROOT: u32 = 0;

/// One prefix of wildcard filters. What leads to it is in `Trie::edges`, or in `plus` of its parent.
#[derive(Debug)]
struct Node<T> {
    /// The child for `+`, or `NONE`.
    plus: u32,
    /// Children for literal levels, in `Trie::edges`.
    children: u32,
    /// Subscribers of the filter that ends here.
    here: Values<T>,
    /// Subscribers of the filter that goes on with `#`.
    rest: Values<T>,
}

/// Filters and their subscribers. `T` is a small key; the trie never looks into it.
///
/// Single-threaded. Filters must be without Share Name. Invariant: every node but the root has a value or a child.
#[derive(Debug)]
pub struct Trie<T> {
    hasher: RandomState,
    exact: Exact<T>,
    nodes: Vec<Node<T>>,
    free: Vec<u32>,
    edges: Edges,
    levels: Levels,
    len: usize,
    version: u64,
}

impl<T: Copy + Eq + Hash> Default for Trie<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy + Eq + Hash> Trie<T> {
    /// A trie without filters.
    pub fn new() -> Self {
        let hasher = RandomState::default();
        Self {
            edges: Edges::new([hasher.hash_one(1), hasher.hash_one(2)]),
            hasher,
            exact: Exact::new(),
            nodes: vec![Node::new()],
            free: Vec::new(),
            levels: Levels::new(),
            len: 0,
            version: 0,
        }
    }

    /// Subscribes `value` to `filter`; false if it was subscribed.
    pub fn insert(&mut self, filter: &str, value: T) -> bool {
        let added = if is_wildcard(filter) {
            let (node, tail) = self.grow(filter);
            self.values(node, tail).insert(value)
        } else {
            self.exact.insert(self.hasher.hash_one(filter), filter, value)
        };
        self.len += usize::from(added);
        self.version += u64::from(added);
        added
    }

    /// Ends the subscription of `value` to `filter`; false if there was none.
    pub fn remove(&mut self, filter: &str, value: &T) -> bool {
        let removed = if is_wildcard(filter) {
            self.remove_wild(filter, value)
        } else {
            self.exact.remove(self.hasher.hash_one(filter), filter, value)
        };
        self.len -= usize::from(removed);
        self.version += u64::from(removed);
        removed
    }

    /// Appends the value of every subscription that matches `topic` to `out`, in no order. A value whose filters
    /// overlap comes once for each of them.
    pub fn matches(&self, topic: &str, out: &mut Vec<T>) {
        if !self.exact.is_empty() {
            self.exact.matches(self.hasher.hash_one(topic), topic, out);
        }
        if self.nodes.len() > 1 || !self.nodes[ROOT as usize].rest.is_empty() {
            self.walk(topic, out);
        }
    }

    /// Subscriptions: pairs of filter and value.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no subscription.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Changes with every insert and remove that changed something: while it stays, so does every answer of
    /// [`Trie::matches`].
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Goes down level by level with all prefixes that match so far: their lookups do not depend on one another, so
    /// that the processor waits for memory once for all of them.
    fn walk(&self, topic: &str, out: &mut Vec<T>) {
        // [MQTT-4.7.2-1]
        let mut wild = !topic.starts_with('$');
        let (mut here, mut below): (SmallVec<[u32; 16]>, SmallVec<[u32; 16]>) = Default::default();
        here.push(ROOT);
        let mut start = 0;
        loop {
            let rest = &topic.as_bytes()[start..];
            let end = start + rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let part = self.part(topic, start, end);
            for id in here.drain(..) {
                let node = &self.nodes[id as usize];
                if wild {
                    node.rest.append_to(out);
                    if node.plus != NONE {
                        below.push(node.plus);
                    }
                }
                if node.children > 0
                    && let Some(child) = self.edges.find(id, part)
                {
                    below.push(child);
                }
            }
            std::mem::swap(&mut here, &mut below);
            if end == topic.len() || here.is_empty() {
                break;
            }
            wild = true;
            start = end + 1;
        }
        for id in here {
            let node = &self.nodes[id as usize];
            node.rest.append_to(out);
            node.here.append_to(out);
        }
    }

    #[inline]
    fn part(&self, topic: &str, start: usize, end: usize) -> Part {
        self.edges.part(self.levels.key(topic, start, end))
    }

    /// The node where `filter` ends and whether it goes on with `#`; makes what is missing.
    fn grow(&mut self, filter: &str) -> (u32, bool) {
        let (body, tail) = split_tail(filter);
        let mut node = ROOT;
        for level in body.into_iter().flat_map(|body| body.split('/')) {
            node = match self.step(node, level) {
                Some(child) => child,
                None => self.add_child(node, level),
            };
        }
        (node, tail)
    }

    fn remove_wild(&mut self, filter: &str, value: &T) -> bool {
        let (body, tail) = split_tail(filter);
        let mut node = ROOT;
        let mut path: SmallVec<[(u32, &str, u32); 12]> = SmallVec::new();
        for level in body.into_iter().flat_map(|body| body.split('/')) {
            let Some(child) = self.step(node, level) else { return false };
            path.push((node, level, child));
            node = child;
        }
        let removed = self.values(node, tail).remove(value);
        self.prune(&path);
        removed
    }

    fn step(&self, node: u32, level: &str) -> Option<u32> {
        if level == "+" {
            let plus = self.nodes[node as usize].plus;
            return (plus != NONE).then_some(plus);
        }
        self.edges.find(node, self.part(level, 0, level.len()))
    }

    fn add_child(&mut self, parent: u32, level: &str) -> u32 {
        let child = self.add_node();
        if level == "+" {
            self.nodes[parent as usize].plus = child;
            return child;
        }
        let key = self.levels.acquire(level);
        self.edges.insert(parent, key, child);
        self.nodes[parent as usize].children += 1;
        child
    }

    fn add_node(&mut self) -> u32 {
        if let Some(id) = self.free.pop() {
            return id;
        }
        self.nodes.push(Node::new());
        u32::try_from(self.nodes.len() - 1).expect("memory ends before 2^32 nodes")
    }

    /// Frees the nodes of `path` (parent, level, child, from the root down), as far up as nothing needs them.
    fn prune(&mut self, path: &[(u32, &str, u32)]) {
        for (parent, level, child) in path.iter().rev() {
            if !self.nodes[*child as usize].is_bare() {
                return;
            }
            if *level == "+" {
                self.nodes[*parent as usize].plus = NONE;
            } else {
                self.edges.remove(*parent, self.part(level, 0, level.len()));
                self.nodes[*parent as usize].children -= 1;
                self.levels.release(level);
            }
            self.free.push(*child);
        }
        if self.free.len() + 1 == self.nodes.len() {
            // Give back the memory of a crowd that left.
            self.nodes.truncate(1);
            self.nodes.shrink_to_fit();
            self.free = Vec::new();
            self.edges = Edges::new([self.hasher.hash_one(1), self.hasher.hash_one(2)]);
            self.levels = Levels::new();
        }
    }

    fn values(&mut self, node: u32, tail: bool) -> &mut Values<T> {
        let node = &mut self.nodes[node as usize];
        if tail { &mut node.rest } else { &mut node.here }
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize, usize, usize) {
        let nodes = self.nodes.len() - self.free.len() - 1;
        (self.exact.len(), nodes, self.edges.len(), self.levels.len())
    }
}

impl<T: Copy + Eq + Hash> Node<T> {
    fn new() -> Self {
        Self { plus: NONE, children: 0, here: Values::None, rest: Values::None }
    }

    fn is_bare(&self) -> bool {
        self.here.is_empty() && self.rest.is_empty() && self.plus == NONE && self.children == 0
    }
}
