//! The loop over all groups: one batch, one sync, many groups.

use std::time::Duration;

use crate::effects::Effects;
use crate::error::LogError;
use crate::group::{GroupStatus, StateBatch};
use crate::id::{GroupId, Index, Offset, ReplicaId, Stamp};
use crate::message::Message;
use crate::proposal::{Proposal, Refusal};
use crate::reader::Reader;
use crate::store::StoreError;

/// All groups of a node. Driven by one thread, in turns:
///
/// 1. any number of [`Engine::propose`], [`Engine::step`], [`Engine::tick`];
/// 2. [`Engine::collect`], then the driver sends `effects.send_now`;
/// 3. [`Engine::commit`], then it sends `effects.send_after` and applies `effects.committed`;
/// 4. [`Engine::persist`] for each group that had something to apply;
/// 5. again from 1, at once while [`Engine::is_busy`].
pub struct Engine {}

impl Engine {
    /// Appends at the leader. `Ok` means on its way; the entry comes back in `effects.committed`, or
    /// never if this replica loses its office first.
    pub fn propose(&mut self, proposal: Proposal) -> Result<(), Refusal> {
        let _ = proposal;
        unimplemented!("comes next")
    }

    /// Stands for election now rather than after a timeout.
    pub fn campaign(&mut self, group: GroupId) -> Result<(), LogError> {
        let _ = group;
        unimplemented!("comes next")
    }

    /// Hands leadership to another replica, if it is up to date.
    pub fn transfer(&mut self, group: GroupId, to: ReplicaId) {
        let _ = (group, to);
        unimplemented!("comes next")
    }

    /// Takes a message from a peer. One that fits nothing here is dropped, as a network would.
    pub fn step(&mut self, message: Message) {
        let _ = message;
        unimplemented!("comes next")
    }

    /// Lets time pass up to `now`, the monotonic time since some start. After a long stall the groups
    /// see one tick and not a burst of them, which would start elections on stale ground.
    pub fn tick(&mut self, now: Duration) {
        let _ = now;
        unimplemented!("comes next")
    }

    /// Whether a turn would do something.
    pub fn is_busy(&self) -> bool {
        unimplemented!("comes next")
    }

    /// First half of a turn: takes what all groups want written and sent.
    pub fn collect(&mut self, effects: &mut Effects) -> Result<(), LogError> {
        let _ = effects;
        unimplemented!("comes next")
    }

    /// Second half of a turn: one write and at most one sync for all groups. An error ends the process.
    pub fn commit(&mut self, effects: &mut Effects) -> Result<(), LogError> {
        let _ = effects;
        unimplemented!("comes next")
    }

    /// Keeps what the node derived from a group's entries up to and including `index`. To be called in
    /// order for everything in `effects.committed`, also where nothing changes: a restart replays
    /// what came after the last flushed `index`.
    pub fn persist(&mut self, group: GroupId, index: Index, changes: StateBatch) -> Result<(), LogError> {
        let _ = (group, index, changes);
        unimplemented!("comes next")
    }

    /// Whether enough state was written since the last flush that a new one is due.
    pub fn wants_flush(&self) -> bool {
        unimplemented!("comes next")
    }

    /// First third of a flush, quick: the log is synced, so that no flushed state is ahead of it.
    pub fn flush_begin(&mut self) -> Result<Flush, LogError> {
        unimplemented!("comes next")
    }

    /// Last third of a flush, quick: what it covered need not be replayed any more.
    pub fn flush_end(&mut self, flushed: Flushed) {
        let _ = flushed;
        unimplemented!("comes next")
    }

    /// All three thirds at once. Takes as long as the disk needs for the state written since the last.
    pub fn flush_state(&mut self) -> Result<(), LogError> {
        unimplemented!("comes next")
    }

    /// Cuts the logs: groups without history behind their flushed state, others below their log
    /// start. Gives the disk back.
    pub fn compact(&mut self) -> Result<(), LogError> {
        unimplemented!("comes next")
    }

    /// How a group is.
    pub fn status(&self, group: GroupId) -> Option<GroupStatus> {
        let _ = group;
        unimplemented!("comes next")
    }

    /// All groups, in order.
    pub fn groups(&self) -> Vec<GroupId> {
        unimplemented!("comes next")
    }

    /// Where a retention would cut: everything stamped before `older_than`, and what exceeds `bytes_max`.
    /// `None` where nothing would go.
    pub fn log_start_for(&self, group: GroupId, older_than: Stamp, bytes_max: u64) -> Option<Offset> {
        let _ = (group, older_than, bytes_max);
        unimplemented!("comes next")
    }

    /// A handle to read with, for other threads.
    pub fn reader(&self) -> Reader {
        unimplemented!("comes next")
    }
}

/// The slow third of a flush; may run on another thread.
pub struct Flush {}

impl Flush {
    /// Writes the state out. An error ends the process.
    pub fn run(self) -> Result<Flushed, StoreError> {
        unimplemented!("comes next")
    }
}

/// The proof that a flush is done.
pub struct Flushed {}
