//! Whom to ask for what is wanted beside Raft, and when again.

use std::collections::BTreeMap;

use crate::group::Contacts;
use crate::id::{NodeId, ReplicaId};

/// Ticks after which a question is repeated.
const ASK_TICKS: u32 = 4;
/// Ticks of silence after which another peer is asked.
pub(super) const GIVE_UP_TICKS: u32 = 40;
/// Ticks for which a node that was silent is asked after all others, for whatever group.
const SILENT_TICKS: u32 = 5 * GIVE_UP_TICKS;

/// Nodes that did not answer, each with the ticks for which it is asked last.
#[derive(Default)]
pub(super) struct Silent(BTreeMap<NodeId, u32>);

impl Silent {
    /// This peer says something.
    pub(super) fn heard(&mut self, contacts: &Contacts, peer: ReplicaId) {
        if let Some(node) = contacts.get(&peer) {
            self.0.remove(node);
        }
    }

    /// Lets a tick pass.
    pub(super) fn tick(&mut self) {
        self.0.retain(|_, left| {
            *left -= 1;
            *left > 0
        });
    }
}

/// Whom to ask, and when again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asking {
    quiet: u32,
    turn: usize,
    /// Peers in a row that had no answer.
    missed: usize,
}

impl Asking {
    /// Asks this peer first.
    pub(super) fn first(contacts: &Contacts, peer: ReplicaId) -> Self {
        let turn = contacts.keys().position(|other| *other == peer).unwrap_or(0);
        Self { turn, ..Self::default() }
    }

    /// Lets a tick pass; whether it is time to ask (again).
    pub(super) fn tick(&mut self) -> bool {
        let due = self.quiet.is_multiple_of(ASK_TICKS);
        self.quiet += 1;
        due
    }

    /// Whether this peer has been silent for too long; the next one is asked then.
    pub(super) fn gives_up(&mut self) -> bool {
        let over = self.quiet > GIVE_UP_TICKS;
        if over {
            self.another();
        }
        over
    }

    /// As [`Asking::gives_up`]; the node of this peer is asked last from here on, for whatever group.
    pub(super) fn passes_by(&mut self, contacts: &Contacts, silent: &mut Silent) -> bool {
        let node = self.peer(contacts).map(|peer| contacts[&peer]);
        let over = self.gives_up();
        if over && let Some(node) = node {
            silent.0.insert(node, SILENT_TICKS);
        }
        over
    }

    /// The next peer is asked, at the next tick.
    pub(super) fn another(&mut self) {
        (self.quiet, self.turn, self.missed) = (0, self.turn + 1, self.missed + 1);
    }

    /// Passes over peers on silent nodes, unless all are; whether another one is asked now.
    pub(super) fn pass_over(&mut self, contacts: &Contacts, silent: &Silent) -> bool {
        let nodes: Vec<bool> = contacts.values().map(|node| silent.0.contains_key(node)).collect();
        let turns = self.turn..self.turn + nodes.len();
        let Some(turn) = turns.into_iter().find(|turn| !nodes[turn % nodes.len()]) else { return false };
        std::mem::replace(&mut self.turn, turn) != turn
    }

    /// Whether all peers have been asked in vain since this was true, or an answer came.
    pub(super) fn went_round(&mut self, contacts: &Contacts) -> bool {
        let round = self.missed >= contacts.len();
        if round {
            self.missed = 0;
        }
        round
    }

    /// An answer came: there is no need to repeat the question.
    pub(super) fn heard(&mut self) {
        (self.quiet, self.missed) = (1, 0);
    }

    /// Who is asked; nobody where nobody is known.
    pub(super) fn peer(&self, contacts: &Contacts) -> Option<ReplicaId> {
        let at = self.turn % contacts.len().max(1);
        contacts.keys().nth(at).copied()
    }
}
