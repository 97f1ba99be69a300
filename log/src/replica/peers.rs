//! What is heard of the other replicas.

use std::collections::BTreeMap;

use crate::group::Contacts;
use crate::id::{NodeId, ReplicaId};
use crate::message::Sender;

/// Everyone who was heard of lately, members or not: the members of a replica that is behind are old.
pub(super) struct Peers {
    by_id: BTreeMap<ReplicaId, Peer>,
    /// Ticks of silence after which a replica counts as down.
    silence: u32,
}

struct Peer {
    node: Option<NodeId>,
    /// Ticks since it was heard.
    quiet: u32,
    /// Messages in a row that said that its history is whole.
    whole: u32,
}

impl Peers {
    pub(super) fn new(silence: u32) -> Self {
        Self { by_id: BTreeMap::new(), silence }
    }

    /// A message came from this replica.
    pub(super) fn hear(&mut self, replica: ReplicaId, sender: Sender) {
        let peer = self.by_id.entry(replica).or_insert(Peer { node: None, quiet: 0, whole: 0 });
        peer.node = sender.node.or(peer.node);
        peer.quiet = 0;
        peer.whole = if sender.whole { peer.whole.saturating_add(1) } else { 0 };
        if self.by_id.len() > PEERS_MAX {
            let longest = self.by_id.iter().max_by_key(|(_, peer)| peer.quiet).map(|(replica, _)| *replica);
            longest.map(|replica| self.by_id.remove(&replica));
        }
    }

    /// Takes over who was known before, and was not heard lately.
    pub(super) fn meet(&mut self, contacts: &Contacts) {
        for (replica, node) in contacts {
            let stranger = Peer { node: Some(*node), quiet: u32::MAX, whole: 0 };
            self.by_id.entry(*replica).or_insert(stranger);
        }
    }

    pub(super) fn tick(&mut self) {
        self.by_id.values_mut().for_each(|peer| peer.quiet = peer.quiet.saturating_add(1));
    }

    /// Whether it was heard of within the last election timeout.
    pub(super) fn is_active(&self, replica: ReplicaId) -> bool {
        self.by_id.get(&replica).is_some_and(|peer| peer.quiet <= self.silence)
    }

    /// Whether its history is whole, as it said last; `None` where it said nothing. One message may be an
    /// old one that was under way for long, so it takes more of them.
    pub(super) fn is_whole(&self, replica: ReplicaId) -> Option<bool> {
        self.by_id.get(&replica).map(|peer| peer.whole >= WHOLE_MIN)
    }

    /// All with their nodes, where they are known.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (ReplicaId, NodeId)> {
        self.by_id.iter().filter_map(|(replica, peer)| Some((*replica, peer.node?)))
    }

    /// The node of one of them.
    pub(super) fn node(&self, replica: ReplicaId) -> Option<NodeId> {
        self.by_id.get(&replica)?.node
    }
}

/// Far more than a group has members.
const PEERS_MAX: usize = 32;
/// An answer to an append and one to a heartbeat may have been overtaken.
const WHOLE_MIN: u32 = 3;
