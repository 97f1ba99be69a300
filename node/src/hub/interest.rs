//! What this node's sessions listen to, told to the other nodes, so that a leader sends them no QoS 0 in vain.
//!
//! ```text
//! worker:  filter wanted, filter unwanted --> Interest: one set, counted by worker; each change has a number
//! to each node that is connected:  reset, then the set in pieces, then changes, each word with its number
//! from each:  the highest number that it has taken up
//! ```
//!
//! The other end sends everything from the connection on until it has the whole set, and from then on what the set
//! says. Words of one connection arrive in order or not at all, so there is nothing to compare but the number.
//!
//! Invariant: when a SUBSCRIBE is answered, every node that leads a partition sends what it asks for.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use holdfast_cluster::link::{Frame, Lane, Net};
use holdfast_log::NodeId;

use super::word::{self, Kind};
use crate::mail::Want;

/// Bytes of filters in one word, about.
const WORD_BYTES: usize = 128 * 1024;
/// Words to one node in a turn: proposals go the same way.
const WORDS_MAX: usize = 4;

/// The interest of this node, and who has been told of it.
#[derive(Debug)]
pub(super) struct Interest {
    /// How many workers want each filter.
    filters: HashMap<Arc<str>, u32, RandomState>,
    /// Number of the last change. The empty set at the start is 1: 0 says that nothing is known.
    version: u64,
    told: BTreeMap<NodeId, Told>,
}

/// A node that is connected.
#[derive(Debug)]
struct Told {
    unsent: VecDeque<Change>,
    /// The highest number it has taken up.
    seen: u64,
}

#[derive(Clone, Debug)]
enum Change {
    Reset,
    Add(Arc<str>),
    Remove(Arc<str>),
    /// Up to here it is the set of this number.
    Whole(u64),
}

impl Interest {
    pub(super) fn new() -> Self {
        Self { filters: HashMap::default(), version: 1, told: BTreeMap::new() }
    }

    /// Number of the last change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// A worker wants filters that it did not want, or no longer wants some that it did.
    pub(super) fn change(&mut self, wants: Vec<Want>) {
        for Want { filter, wanted } in wants {
            let count = self.filters.entry(Arc::clone(&filter)).or_default();
            let before = *count;
            *count = if wanted { before + 1 } else { before.saturating_sub(1) };
            if *count == 0 {
                self.filters.remove(&filter);
            }
            let change = match (before, wanted) {
                (0, true) => Change::Add(filter),
                (1, false) => Change::Remove(filter),
                _ => continue,
            };
            self.version += 1;
            for told in self.told.values_mut() {
                if matches!(told.unsent.back(), Some(Change::Whole(_))) {
                    told.unsent.pop_back();
                }
                told.unsent.extend([change.clone(), Change::Whole(self.version)]);
            }
        }
    }

    /// A node is connected, or asks to be told anew.
    pub(super) fn tell_all(&mut self, node: NodeId) {
        let mut unsent = VecDeque::from([Change::Reset]);
        unsent.extend(self.filters.keys().cloned().map(Change::Add));
        unsent.push_back(Change::Whole(self.version));
        self.told.insert(node, Told { unsent, seen: 0 });
    }

    /// A node is not connected any more.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.told.remove(&node);
    }

    /// A node has taken up what it was told, up to this number; 0: it wants to be told anew.
    pub(super) fn seen(&mut self, node: NodeId, version: u64) {
        if version == 0 {
            if self.told.contains_key(&node) {
                self.tell_all(node);
            }
        } else if let Some(told) = self.told.get_mut(&node) {
            told.seen = told.seen.max(version);
        }
    }

    /// The connected nodes that have not taken up change `version` yet.
    pub(super) fn unaware(&self, version: u64) -> impl Iterator<Item = NodeId> {
        self.told.iter().filter(move |(_, told)| told.seen < version).map(|(node, _)| *node)
    }

    /// Tells the other nodes what they have not been told. `true`: there is more.
    pub(super) fn tell(&mut self, net: &mut dyn Net) -> bool {
        for (node, told) in &mut self.told {
            for _ in 0..WORDS_MAX {
                let (word, changes) = told.next_word();
                if changes == 0 {
                    break;
                }
                // What finds no room now does so later: the node is behind, or about to be forgotten.
                if net.send(*node, Lane::Rpc, &Frame::App(Kind::Interest(word).into_bytes())).is_err() {
                    break;
                }
                told.unsent.drain(..changes);
            }
        }
        self.told.values().any(|told| !told.unsent.is_empty())
    }
}

impl Told {
    /// The next word, and how many changes are in it.
    fn next_word(&self) -> (word::Interest, usize) {
        let mut word = word::Interest::default();
        let (mut bytes, mut taken) = (0, 0);
        for change in &self.unsent {
            match change {
                Change::Reset if taken > 0 => break,
                Change::Reset => word.reset = true,
                Change::Whole(version) => word.version = *version,
                // Within a word all additions come first.
                Change::Add(_) if !word.remove.is_empty() => break,
                Change::Add(filter) => {
                    bytes += filter.len() + 8;
                    word.add.push(filter.to_string());
                }
                Change::Remove(filter) => {
                    bytes += filter.len() + 8;
                    word.remove.push(filter.to_string());
                }
            }
            taken += 1;
            if bytes >= WORD_BYTES {
                break;
            }
        }
        (word, taken)
    }
}

#[cfg(test)]
mod tests;
