//! The subscriptions of one worker thread: finds every filter that a Topic Name matches.
//!
//! Filters without wildcards live in one hash table. The others form a trie whose nodes lie in one array and whose
//! edges lie in one hash table, so that a publish costs a few probes for each of its levels, however many filters
//! there are. Nodes and level texts are freed with the last filter that needs them.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::exact::Exact;
use super::filter::{is_wildcard, split_tail};
use super::level::{Levels, spread};
use super::values::Values;

const ROOT: u32 = 0;

/// In place of a node id: no node. In place of a level id: the edge is a `+`.
const NONE: u32 = u32::MAX;

/// One prefix of wildcard filters.
#[derive(Debug)]
struct Node<T> {
    parent: u32,
    /// The text of the edge from the parent; `NONE` for `+`.
    level: u32,
    /// The hash of that text.
    tag: u32,
    /// The child for `+`, or `NONE`.
    plus: u32,
    /// Children for literal levels, in `edges`.
    children: u32,
    /// Subscribers of the filter that ends here.
    here: Values<T>,
    /// Subscribers of the filter that goes on with `#`.
    rest: Values<T>,
}

/// `parent` goes to `child` by a level text. Parent and tag are inline: a miss reads no node.
#[derive(Debug)]
struct Edge {
    parent: u32,
    tag: u32,
    level: u32,
    child: u32,
}

/// One level of the topic at hand.
struct Part<'a> {
    text: &'a str,
    tag: u32,
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
    edges: HashTable<Edge>,
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
        Self {
            hasher: RandomState::default(),
            exact: Exact::new(),
            nodes: vec![Node::new(NONE, NONE, 0)],
            free: Vec::new(),
            edges: HashTable::new(),
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

    /// The stack is explicit because a topic may have 65,535 levels.
    fn walk(&self, topic: &str, out: &mut Vec<T>) {
        let tag = |text| Part { text, tag: self.tag(text) };
        let parts: SmallVec<[Part<'_>; 12]> = topic.split('/').map(tag).collect();
        // [MQTT-4.7.2-1]
        let reserved = topic.starts_with('$');
        let mut stack: SmallVec<[(u32, u32); 24]> = SmallVec::new();
        stack.push((ROOT, 0));
        while let Some((id, depth)) = stack.pop() {
            let node = &self.nodes[id as usize];
            let wild = depth > 0 || !reserved;
            if wild {
                node.rest.append_to(out);
            }
            let Some(part) = parts.get(depth as usize) else {
                node.here.append_to(out);
                continue;
            };
            if wild && node.plus != NONE {
                stack.push((node.plus, depth + 1));
            }
            if node.children > 0
                && let Some(child) = self.child(id, part)
            {
                stack.push((child, depth + 1));
            }
        }
    }

    #[inline]
    fn child(&self, parent: u32, part: &Part<'_>) -> Option<u32> {
        let same = |edge: &Edge| {
            edge.parent == parent && edge.tag == part.tag && self.levels.reads(edge.level, part.text)
        };
        self.edges.find(edge_hash(parent, part.tag), same).map(|edge| edge.child)
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
        for level in body.into_iter().flat_map(|body| body.split('/')) {
            let Some(child) = self.step(node, level) else { return false };
            node = child;
        }
        let removed = self.values(node, tail).remove(value);
        self.prune(node);
        removed
    }

    fn step(&self, node: u32, level: &str) -> Option<u32> {
        if level == "+" {
            let plus = self.nodes[node as usize].plus;
            return (plus != NONE).then_some(plus);
        }
        self.child(node, &Part { text: level, tag: self.tag(level) })
    }

    fn add_child(&mut self, parent: u32, level: &str) -> u32 {
        if level == "+" {
            let child = self.add_node(Node::new(parent, NONE, 0));
            self.nodes[parent as usize].plus = child;
            return child;
        }
        let tag = self.tag(level);
        let level = self.levels.acquire(tag, level);
        let child = self.add_node(Node::new(parent, level, tag));
        let edge = Edge { parent, tag, level, child };
        self.edges.insert_unique(edge_hash(parent, tag), edge, |edge| edge_hash(edge.parent, edge.tag));
        self.nodes[parent as usize].children += 1;
        child
    }

    fn add_node(&mut self, node: Node<T>) -> u32 {
        if let Some(id) = self.free.pop() {
            self.nodes[id as usize] = node;
            return id;
        }
        self.nodes.push(node);
        u32::try_from(self.nodes.len() - 1).expect("memory ends before 2^32 nodes")
    }

    /// Frees `node` and its ancestors, as far up as nothing needs them.
    fn prune(&mut self, mut id: u32) {
        while id != ROOT && self.nodes[id as usize].is_bare() {
            let Node { parent, level, tag, .. } = self.nodes[id as usize];
            if level == NONE {
                self.nodes[parent as usize].plus = NONE;
            } else {
                let entry = self.edges.find_entry(edge_hash(parent, tag), |edge| edge.child == id);
                entry.expect("every node below the root has its edge").remove();
                self.nodes[parent as usize].children -= 1;
                self.levels.release(tag, level);
            }
            self.free.push(id);
            id = parent;
        }
        if self.free.len() + 1 == self.nodes.len() {
            // Empty: give the memory of a crowd that left back.
            self.nodes.truncate(1);
            self.nodes.shrink_to_fit();
            self.free = Vec::new();
            self.edges = HashTable::new();
            self.levels = Levels::new();
        }
    }

    fn values(&mut self, node: u32, tail: bool) -> &mut Values<T> {
        let node = &mut self.nodes[node as usize];
        if tail { &mut node.rest } else { &mut node.here }
    }

    #[inline]
    fn tag(&self, level: &str) -> u32 {
        (self.hasher.hash_one(level) >> 32) as u32
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize, usize, usize) {
        let nodes = self.nodes.len() - self.free.len() - 1;
        (self.exact.len(), nodes, self.edges.len(), self.levels.len())
    }
}

impl<T: Copy + Eq + Hash> Node<T> {
    fn new(parent: u32, level: u32, tag: u32) -> Self {
        Self { parent, level, tag, plus: NONE, children: 0, here: Values::None, rest: Values::None }
    }

    fn is_bare(&self) -> bool {
        self.here.is_empty() && self.rest.is_empty() && self.plus == NONE && self.children == 0
    }
}

#[inline]
fn edge_hash(parent: u32, tag: u32) -> u64 {
    spread(u64::from(parent) << 32 | u64::from(tag))
}
