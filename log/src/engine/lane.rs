//! What leaves beside Raft: a bounded queue that is let out at a rate.

use std::collections::{BTreeMap, VecDeque};

use super::Engine;
use super::ask::Silent;
use super::give::Outgoing;
use super::history::{Copy, Repairs};
use super::take::Fetch;
use crate::bulk::{Body, Bulk};
use crate::error::LogError;
use crate::id::{GroupId, ReplicaId};
use crate::pace::Budget;

/// Everything that is under way beside Raft.
#[derive(Default)]
pub(super) struct Lane {
    /// Questions and short answers, which the next `collect` hands out.
    short: Vec<Bulk>,
    /// Chunks and entries, which leave as the budget allows, and their bytes.
    long: VecDeque<Bulk>,
    bytes: u64,
    /// What may leave, and what may be read or put in place here.
    sending: Budget,
    pub(super) working: Budget,
    /// Snapshots that this node gives.
    pub(super) outgoing: BTreeMap<GroupId, Outgoing>,
    /// Snapshots that this node takes.
    pub(super) fetches: BTreeMap<GroupId, Fetch>,
    /// The last group whose question for a snapshot nobody has answered, and the last one whose question for
    /// a part of its history: the next ones in order are asked for next.
    pub(super) last_fetch: GroupId,
    pub(super) last_copy: GroupId,
    /// Nodes that did not answer.
    pub(super) silent: Silent,
    /// Snapshots that are not wanted any more, with chunks to be deleted.
    pub(super) cancelled: Vec<GroupId>,
    /// Histories that this node copies.
    pub(super) copies: BTreeMap<GroupId, Copy>,
    /// Damaged entries of groups that are awake.
    pub(super) repairs: Repairs,
}

impl Lane {
    /// Whether an answer has to wait: what waits to leave is enough, or this peer has not got all of what it
    /// asked for before. Who asked will ask again.
    pub(super) fn is_full(&self, chunk_bytes: u64, (group, peer): (GroupId, ReplicaId)) -> bool {
        self.bytes >= chunk_bytes * u64::from(WINDOW) * TRANSFERS_MAX as u64
            || self.long.iter().any(|bulk| (bulk.group, bulk.to) == (group, peer))
    }

    /// Whether a turn would move something.
    pub(super) fn is_busy(&self) -> bool {
        !self.short.is_empty()
            || !self.cancelled.is_empty()
            || (!self.long.is_empty() && self.sending.is_open())
            || (self.working.is_open() && self.outgoing.values().any(Outgoing::is_open))
            || self.fetches.values().any(|fetch| fetch.whole)
    }

    /// Forgets everything about a group.
    pub(super) fn forget(&mut self, group: GroupId) {
        self.short.retain(|bulk| bulk.group != group);
        self.long.retain(|bulk| bulk.group != group);
        self.bytes = self.long.iter().map(|bulk| bulk.encoded_len() as u64).sum();
        self.outgoing.remove(&group);
        self.fetches.remove(&group);
        self.cancelled.retain(|other| *other != group);
        self.copies.remove(&group);
        self.repairs.retain(|(other, _), _| *other != group);
    }

    /// Takes out what may leave.
    pub(super) fn drain(&mut self, into: &mut Vec<Bulk>) {
        into.append(&mut self.short);
        while self.sending.is_open() {
            let Some(bulk) = self.long.pop_front() else { return };
            let bytes = bulk.encoded_len() as u64;
            self.bytes -= bytes;
            self.sending.spend(bytes);
            into.push(bulk);
        }
    }
}

impl Engine {
    /// Takes a frame from a peer's bulk lane. One that fits nothing here is dropped.
    pub fn step_bulk(&mut self, bulk: Bulk) -> Result<(), LogError> {
        assert!(!self.collected, "a collect is followed by a commit");
        let Bulk { group, to, from, body, .. } = bulk;
        let mine = self.specs.get(&group).is_some_and(|spec| spec.replica == to);
        let contacts = self.contacts(group);
        if !mine || !contacts.contains_key(&from) {
            return Ok(());
        }
        self.lane.silent.heard(&contacts, from);
        match body {
            Body::Wanted { at_least, index, number, count } => {
                self.on_wanted((group, from), at_least, (index, number, count))
            }
            Body::Chunk { .. } => self.on_chunk(group, body),
            Body::Done { success, .. } => {
                self.report_snapshot(group, from, success);
                Ok(self.leave_outgoing(group, from)?)
            }
            Body::HistoryWanted { from: low, to, bytes } => {
                self.on_history_wanted((group, from), (low, to), bytes)
            }
            Body::History { .. } => self.on_history(group, body),
        }
    }

    /// A follower has a snapshot in place, or could not be given one. Followers say so themselves in a
    /// frame of the bulk lane; a driver that knows that the lane to a peer is broken may say it as well.
    pub fn report_snapshot(&mut self, group: GroupId, peer: ReplicaId, success: bool) {
        if let Some(replica) = self.idle(group) {
            replica.report_snapshot(peer, success);
        }
    }

    /// Lets a tick pass for everything that is under way beside Raft.
    pub(super) fn tick_lane(&mut self) {
        self.lane.sending.tick(self.config.bulk_bytes_per_tick);
        self.lane.working.tick(self.config.bulk_bytes_per_tick);
        self.lane.silent.tick();
        self.tick_outgoing();
        self.tick_fetches();
        self.tick_histories();
    }

    /// Queues a frame, where it is known whereto.
    pub(super) fn send_bulk(&mut self, group: GroupId, to: ReplicaId, body: Body) {
        let (from, node) = (self.specs[&group].replica, self.node_of(group, to));
        if node.is_none() {
            return;
        }
        let bulk = Bulk { group, to, from, node, body };
        if matches!(bulk.body, Body::Chunk { .. } | Body::History { .. }) {
            self.lane.bytes += bulk.encoded_len() as u64;
            self.lane.long.push_back(bulk);
        } else {
            self.lane.short.push(bulk);
        }
    }
}

/// Chunks of one snapshot that are asked for at a time. With the size of a chunk it bounds what a
/// transfer holds in memory.
pub(super) const WINDOW: u32 = 4;
/// Transfers of each kind that a node takes part in at a time: the others wait.
pub(super) const TRANSFERS_MAX: usize = 2;
