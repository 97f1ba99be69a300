//! Gives a group's state to a peer, as a snapshot in chunks.
//!
//! The rows are read in order of their keys, one chunk per turn, while the group goes on. A change of a
//! row that was read already is added behind it; one that is still to be read will be read as it is
//! then. So all chunks in their order give the state as it is when the last row is read, and nothing
//! holds still for it. The chunks lie in the store until nobody asks for them any more.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};

use super::Engine;
use super::ask::GIVE_UP_TICKS;
use super::lane::{TRANSFERS_MAX, WINDOW};
use crate::bulk::Body;
use crate::error::LogError;
use crate::group::StateBatch;
use crate::id::{GroupId, Index, ReplicaId, Term};
use crate::key;
use crate::key::chunk::{self, Way};
use crate::rows::{self, RowRef};
use crate::store::{Batch, Range, Space, Store, StoreError};

/// A snapshot that is being written down or given away.
#[derive(Default)]
pub(super) struct Outgoing {
    /// The next key to read.
    cursor: Vec<u8>,
    /// The chunk that is being filled.
    open: BytesMut,
    /// Chunks that are written.
    written: u32,
    sum: crc32fast::Hasher,
    /// What it is, once all of it is written.
    ready: Option<Ready>,
    /// Ticks since somebody asked for it.
    idle: u32,
    /// Who has asked and is not done.
    askers: BTreeSet<ReplicaId>,
}

#[derive(Clone, Copy)]
struct Ready {
    at: (Index, Term),
    sum: u32,
}

impl Outgoing {
    /// Whether it still grows.
    pub(super) fn is_open(&self) -> bool {
        self.ready.is_none()
    }

    /// Writes the open chunk down.
    fn close_chunk(&mut self, group: GroupId, store: &dyn Store) -> Result<u64, StoreError> {
        let bytes = std::mem::take(&mut self.open).freeze();
        self.sum.update(&bytes);
        let mut batch = Batch::default();
        batch.put(Space::State, &chunk::key(Way::Out, group, self.written), bytes);
        self.written += 1;
        store.write_state(&batch)?;
        Ok(batch.bytes())
    }
}

impl Engine {
    /// A peer asks for chunks of a snapshot.
    pub(super) fn on_wanted(
        &mut self,
        (group, peer): (GroupId, ReplicaId),
        at_least: Index,
        (index, number, count): (Index, u32, u32),
    ) -> Result<(), LogError> {
        let Some(replica) = self.replicas.get_mut(&group) else { return Ok(()) };
        replica.snapshot_heard(peer);
        if replica.progress.kept() < at_least || self.lane.is_full(self.config.chunk_bytes, (group, peer)) {
            return Ok(());
        }
        let Some(outgoing) = self.lane.outgoing.get_mut(&group) else {
            self.drop_left()?;
            if self.lane.outgoing.len() < TRANSFERS_MAX {
                let cursor = key::derived::range(group).0;
                self.lane.outgoing.insert(group, Outgoing { cursor, ..Outgoing::default() });
            }
            return Ok(());
        };
        outgoing.idle = 0;
        outgoing.askers.insert(peer);
        let Some(ready) = outgoing.ready else { return Ok(()) };
        if ready.at.0 < at_least {
            // It was written for somebody else, a while ago.
            return Ok(self.drop_outgoing(group)?);
        }
        // Another snapshot than this one was asked for: it begins with its first chunk.
        let first = if index == ready.at.0 { number } else { 0 };
        let of = outgoing.written;
        for number in first..of.min(first.saturating_add(count.min(WINDOW))) {
            let key = chunk::key(Way::Out, group, number);
            let bytes =
                self.journal.store().get(Space::State, &key)?.expect("it was written and not deleted");
            let Ready { at: (index, term), sum } = ready;
            self.send_bulk(group, peer, Body::Chunk { index, term, number, of, sum, bytes });
        }
        Ok(())
    }

    /// Reads one more chunk of each snapshot that is being written down.
    pub(super) fn read_outgoing(&mut self) -> Result<(), LogError> {
        let open = |(group, outgoing): (&GroupId, &Outgoing)| outgoing.is_open().then_some(*group);
        let groups: Vec<_> = self.lane.outgoing.iter().filter_map(open).collect();
        for group in groups {
            if self.lane.working.is_open() {
                self.read_chunk(group)?;
            }
        }
        Ok(())
    }

    fn read_chunk(&mut self, group: GroupId) -> Result<(), LogError> {
        let chunk_bytes = usize::try_from(self.config.chunk_bytes).unwrap_or(usize::MAX);
        self.lane.working.spend(self.config.chunk_bytes);
        let store = self.journal.store();
        let outgoing = self.lane.outgoing.get_mut(&group).expect("it is being written");
        let (from, to) = (std::mem::take(&mut outgoing.cursor), key::derived::range(group).1);
        let (open, cursor) = (&mut outgoing.open, &mut outgoing.cursor);
        store.scan(Range { space: Space::State, from: &from, to: &to }, &mut |key, value| {
            rows::push(open, RowRef::Put(key::derived::rest_of(key), value));
            if open.len() < chunk_bytes {
                return true;
            }
            *cursor = [key, &[0]].concat();
            false
        })?;
        if cursor.is_empty() {
            let replica = self.replicas.get(&group).expect("it has the state that is read");
            let members = key::members::encode(replica.progress.kept_members());
            rows::push(open, RowRef::Members(&members));
            rows::push(open, RowRef::Applied(&replica.progress.record()));
            let at = replica.progress.kept_at();
            self.state_bytes += outgoing.close_chunk(group, &**store)?;
            outgoing.ready = Some(Ready { at, sum: outgoing.sum.clone().finalize() });
        } else {
            self.state_bytes += outgoing.close_chunk(group, &**store)?;
        }
        Ok(())
    }

    /// The state is about to change: what was read already is read again.
    pub(super) fn follow_changes(&mut self, group: GroupId, changes: &StateBatch) -> Result<(), LogError> {
        let chunk_bytes = usize::try_from(self.config.chunk_bytes).unwrap_or(usize::MAX);
        let Some(outgoing) = self.lane.outgoing.get_mut(&group).filter(|outgoing| outgoing.is_open()) else {
            return Ok(());
        };
        let cursor = std::mem::take(&mut outgoing.cursor);
        let read = |rest: &[u8]| key::derived::key(group, rest).as_slice() < cursor.as_slice();
        for (rest, value) in changes.puts.iter().filter(|(rest, _)| read(rest)) {
            rows::push(&mut outgoing.open, RowRef::Put(rest, value));
        }
        for rest in changes.deletes.iter().filter(|rest| read(rest)) {
            rows::push(&mut outgoing.open, RowRef::Delete(rest));
        }
        if outgoing.open.len() >= chunk_bytes {
            self.state_bytes += outgoing.close_chunk(group, &**self.journal.store())?;
        }
        outgoing.cursor = cursor;
        Ok(())
    }

    /// Forgets a snapshot that is not asked for.
    pub(super) fn drop_outgoing(&mut self, group: GroupId) -> Result<(), StoreError> {
        if self.lane.outgoing.remove(&group).is_none() {
            return Ok(());
        }
        let (from, to) = chunk::range(Way::Out, group);
        let mut batch = Batch::default();
        batch.delete_range(Space::State, &from, &to);
        self.journal.store().write_state(&batch)
    }

    /// A peer has its snapshot in place. The last one makes room for others.
    pub(super) fn leave_outgoing(&mut self, group: GroupId, peer: ReplicaId) -> Result<(), StoreError> {
        let Some(outgoing) = self.lane.outgoing.get_mut(&group) else { return Ok(()) };
        let last = outgoing.askers.remove(&peer) && outgoing.askers.is_empty();
        if last && !outgoing.is_open() { self.drop_outgoing(group) } else { Ok(()) }
    }

    pub(super) fn tick_outgoing(&mut self) {
        self.lane.outgoing.values_mut().for_each(|outgoing| outgoing.idle += 1);
    }

    /// Forgets a snapshot whose asker has turned to another peer, where it stands in the way.
    fn drop_left(&mut self) -> Result<(), StoreError> {
        let left = |(group, outgoing): (&GroupId, &Outgoing)| {
            (outgoing.idle > GIVE_UP_TICKS && !outgoing.is_open()).then_some(*group)
        };
        if self.lane.outgoing.len() < TRANSFERS_MAX {
            return Ok(());
        }
        match self.lane.outgoing.iter().find_map(left) {
            Some(group) => self.drop_outgoing(group),
            None => Ok(()),
        }
    }

    /// Forgets the snapshots that nobody has asked for in a while.
    pub(super) fn drop_idle(&mut self) -> Result<(), LogError> {
        let idle = |(group, outgoing): (&GroupId, &Outgoing)| (outgoing.idle > IDLE_TICKS).then_some(*group);
        let groups: Vec<_> = self.lane.outgoing.iter().filter_map(idle).collect();
        for group in groups {
            self.drop_outgoing(group)?;
        }
        Ok(())
    }

    /// A peer asks for entries, to complete its history or to replace damaged ones. It gets only what is
    /// applied here, so that both have the same in the same place.
    pub(super) fn on_history_wanted(
        &mut self,
        (group, peer): (GroupId, ReplicaId),
        (from, to): (Index, Index),
        bytes: u64,
    ) -> Result<(), LogError> {
        let Some(replica) = self.replicas.get(&group) else { return Ok(()) };
        let (origin, whole) = {
            let tail = self.journal.tail(group);
            (tail.origin, tail.held_from.is_none())
        };
        let applied = to.before() <= replica.progress.applied;
        if !applied
            || (!whole && from <= origin.0)
            || self.lane.is_full(self.config.chunk_bytes, (group, peer))
        {
            return Ok(());
        }
        let first = from.max(origin.0.next());
        let (mut before, mut values) = (origin.1, Vec::<Bytes>::new());
        if first < to {
            let bytes = bytes.min(self.config.chunk_bytes);
            let found = self.journal.entries(group, (first, to), bytes);
            // What is damaged here as well is given by somebody else.
            let (Ok(items), Ok(term)) = (found, self.journal.term(group, first.before())) else {
                return Ok(());
            };
            before = term;
            values = items.iter().map(crate::logged::Logged::to_disk).collect();
        }
        self.send_bulk(group, peer, Body::History { asked: from, first, before, values });
        Ok(())
    }
}

/// Ten seconds at the default tick. The log is not cut meanwhile, so that it still continues the snapshot.
const IDLE_TICKS: u32 = 200;
