//! What the sessions of other nodes listen to, as those nodes have said: which of them a record of QoS 0 is sent to.
//!
//! A node that is connected gets everything until it has told its whole interest.

use std::collections::BTreeMap;

use bytes::Bytes;
use holdfast_cluster::link::{Frame, Lane, Net};
use holdfast_log::NodeId;

use super::word::{self, Kind};
use crate::record::Record;
use crate::route::hash;
use crate::topic::Trie;

/// Answers kept; a power of two.
const CACHE: usize = 1_024;
/// Nodes beyond so many get everything.
const BITS: usize = 64;

/// The interest of all other nodes.
#[derive(Debug, Default)]
pub(super) struct Abroad {
    nodes: BTreeMap<NodeId, Wanted>,
    /// Changes with everything that changes an answer.
    version: u64,
    cache: Vec<Option<Cached>>,
}

#[derive(Debug, Default)]
struct Wanted {
    /// Its whole interest is here.
    whole: bool,
    /// It is to tell its interest anew; what it says before it does is out of date.
    doubted: bool,
    /// The number that it has not been answered yet; 0: it is to tell its interest anew.
    answer: Option<u64>,
    filters: Trie<()>,
}

#[derive(Debug)]
struct Cached {
    topic: Box<str>,
    version: u64,
    takers: u64,
}

/// What one node gets of some records: all of them so far, or those that were picked.
#[derive(Debug, Default)]
struct Share {
    count: u32,
    /// It did not want all of them.
    some: bool,
    picked: Vec<u8>,
}

impl Share {
    /// The record from `start` to `end` of all `bytes`, which the node wants or not.
    fn offer(&mut self, wanted: bool, (start, end): (usize, usize), bytes: &[u8]) {
        if !wanted && !self.some {
            self.some = true;
            if self.count > 0 {
                self.picked.extend_from_slice(&bytes[..start]);
            }
        }
        if wanted {
            self.count += 1;
            if self.some {
                self.picked.extend_from_slice(&bytes[start..end]);
            }
        }
    }
}

impl Abroad {
    /// A node is connected, and nothing is known of it.
    pub(super) fn enter(&mut self, node: NodeId) {
        self.nodes.insert(node, Wanted::default());
        self.version += 1;
    }

    /// A node is not connected any more.
    pub(super) fn leave(&mut self, node: NodeId) {
        self.nodes.remove(&node);
        self.version += 1;
    }

    /// Time has passed here unseen, and others may have gone on without this node: until they have told their
    /// interest anew they get everything.
    pub(super) fn doubt(&mut self) {
        for wanted in self.nodes.values_mut() {
            *wanted = Wanted { doubted: true, answer: Some(0), ..Wanted::default() };
        }
        self.version += 1;
    }

    /// What a node has said.
    pub(super) fn told(&mut self, node: NodeId, word: word::Interest) {
        let Some(wanted) = self.nodes.get_mut(&node) else { return };
        if word.reset {
            *wanted = Wanted::default();
        } else if wanted.doubted {
            return;
        }
        for filter in &word.add {
            wanted.filters.insert(filter, ());
        }
        for filter in &word.remove {
            wanted.filters.remove(filter, &());
        }
        if word.version > 0 {
            wanted.whole = true;
            wanted.answer = Some(word.version);
        }
        self.version += 1;
    }

    /// Answers what has been said. What finds no room is answered later.
    pub(super) fn answer(&mut self, net: &mut dyn Net) {
        for (node, wanted) in &mut self.nodes {
            let Some(version) = wanted.answer else { continue };
            let seen = Kind::InterestSeen(word::InterestSeen { version });
            if net.send(*node, Lane::Rpc, &Frame::App(seen.into_bytes())).is_ok() {
                wanted.answer = None;
            }
        }
    }

    /// May any of them want anything?
    pub(super) fn any(&self) -> bool {
        self.nodes.values().any(|wanted| !wanted.whole || !wanted.filters.is_empty())
    }

    /// What each node gets of these records, if anything.
    pub(super) fn shares(&mut self, live: &word::Live) -> Vec<(NodeId, word::Live)> {
        let mut shares: Vec<Share> = self.nodes.keys().map(|_| Share::default()).collect();
        let bytes = &live.records[..];
        let mut rest = bytes;
        let mut count = 0;
        // Another node's bytes may be anything: what is damaged goes no further.
        while let Some((record, more)) = Record::decode(rest) {
            let takers = self.takers(record.topic);
            let (start, end) = (bytes.len() - rest.len(), bytes.len() - more.len());
            for (at, share) in shares.iter_mut().enumerate() {
                share.offer(at >= BITS || takers & 1 << at != 0, (start, end), bytes);
            }
            rest = more;
            count += 1;
        }
        let shares = self.nodes.keys().zip(shares).filter(|(_, share)| share.count > 0);
        let all = live.records.slice(..bytes.len() - rest.len());
        let live = |share: Share| {
            let records = if share.count == count { all.clone() } else { Bytes::from(share.picked) };
            word::Live { to_leader: false, count: share.count, records, ..live.clone() }
        };
        shares.map(|(node, share)| (*node, live(share))).collect()
    }

    /// Which nodes want messages of this topic: one bit for each, in their order.
    fn takers(&mut self, topic: &str) -> u64 {
        let at = usize::try_from(hash(topic.as_bytes()) % CACHE as u64).expect("below the size");
        if let Some(Some(cached)) = self.cache.get(at)
            && cached.version == self.version
            && &*cached.topic == topic
        {
            return cached.takers;
        }
        let mut takers = 0;
        let mut found = Vec::new();
        for (at, wanted) in self.nodes.values().enumerate().take(BITS) {
            if wanted.whole {
                wanted.filters.matches(topic, &mut found);
            }
            if !wanted.whole || !found.is_empty() {
                takers |= 1 << at;
            }
            found.clear();
        }
        if self.cache.is_empty() {
            self.cache.resize_with(CACHE, || None);
        }
        self.cache[at] = Some(Cached { topic: topic.into(), version: self.version, takers });
        takers
    }
}

#[cfg(test)]
pub(super) mod tests;
