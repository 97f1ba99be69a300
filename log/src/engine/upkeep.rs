//! What keeps restarts short and the disk small: state, flushes, cuts.
//!
//! The log is cut only behind state that is flushed, and state is flushed only after the log that it
//! was derived from has been synced, commit indices included.

use std::sync::Arc;

use super::Engine;
use crate::error::LogError;
use crate::group::StateBatch;
use crate::id::{GroupId, Index};
use crate::journal::Journal;
use crate::key;
use crate::store::{Batch, Range, Space, StoreError};

impl Engine {
    /// Keeps what the node derived from a group's entries up to and including `index`. To be called in
    /// order for everything in `effects.committed`, also where nothing changes: a restart replays
    /// what came after the last flushed `index`. Panics for an unknown group.
    pub fn persist(&mut self, group: GroupId, index: Index, changes: StateBatch) -> Result<(), LogError> {
        let replica = self.replicas.get_mut(&group).expect("a group of this node");
        let batch = state_batch(group, changes, replica.progress.keep(index));
        self.journal.store().write_state(&batch)?;
        self.state_bytes += batch.bytes();
        self.figures.state_bytes += batch.bytes();
        Ok(())
    }

    /// Whether enough state was written since the last flush that a new one is due.
    pub fn wants_flush(&self) -> bool {
        self.state_bytes >= self.config.state_flush_bytes
    }

    /// First third of a flush, quick: the log is synced, so that no flushed state is ahead of it.
    pub fn flush_begin(&mut self) -> Result<Flush, LogError> {
        assert!(!self.collected, "a collect is followed by a commit");
        let mut batch = Batch::default();
        self.replicas.values_mut().for_each(|replica| replica.write_vote(&mut batch));
        if !batch.is_empty() {
            self.journal.store().write_log(&batch, true)?;
        }
        self.state_bytes = 0;
        let kept = self.replicas.iter().map(|(group, replica)| (*group, replica.progress.kept())).collect();
        Ok(Flush { journal: Arc::clone(&self.journal), kept })
    }

    /// Last third of a flush, quick: what it covered need not be replayed any more.
    pub fn flush_end(&mut self, flushed: Flushed) {
        for (group, index) in flushed.kept {
            let replica = self.replicas.get_mut(&group).expect("groups do not go away");
            replica.progress.flushed = replica.progress.flushed.max(index);
        }
    }

    /// All three thirds at once. Takes as long as the disk needs for the state written since the last.
    pub fn flush_state(&mut self) -> Result<(), LogError> {
        let flushed = self.flush_begin()?.run()?;
        self.flush_end(flushed);
        Ok(())
    }

    /// Cuts the logs: groups without history behind their flushed state, others below their log
    /// start. Gives the disk back. One synced write, and none where nothing is to be cut.
    pub fn compact(&mut self) -> Result<(), LogError> {
        assert!(!self.collected, "a collect is followed by a commit");
        let mut batch = Batch::default();
        let mut ranges = Vec::new();
        for (group, replica) in &self.replicas {
            let Some(cut) = replica.cut_point(self.config.keep_entries) else { continue };
            let first = self.journal.tail(*group).origin.0.next();
            let term = self.journal.term(*group, cut).map_err(|error| LogError::of(*group, error))?;
            self.journal.cut(*group, (cut, term), &mut batch);
            batch.put(Space::Meta, &key::origin::key(*group), replica.origin((cut, term)).encode());
            ranges.push((key::entry::key(*group, first), key::entry::key(*group, cut.next())));
        }
        if batch.is_empty() {
            return Ok(());
        }
        // Synced, because the files go at once: after a power cut the log must not expect them.
        self.journal.store().write_log(&batch, true)?;
        for (from, to) in &ranges {
            self.journal.store().reclaim(Range { space: Space::Entry, from, to })?;
        }
        Ok(())
    }
}

/// The node's changes and the applied index, in one batch.
pub(crate) fn state_batch(group: GroupId, changes: StateBatch, applied: Vec<u8>) -> Batch {
    let mut batch = Batch::default();
    for (rest, value) in changes.puts {
        batch.put(Space::State, &key::derived::key(group, &rest), value);
    }
    for rest in changes.deletes {
        batch.delete(Space::State, &key::derived::key(group, &rest));
    }
    batch.put(Space::State, &key::applied::key(group), applied);
    batch
}

/// The slow third of a flush; may run on another thread.
#[must_use = "a flush that is begun has to be run and ended"]
pub struct Flush {
    journal: Arc<Journal>,
    kept: Vec<(GroupId, Index)>,
}

impl Flush {
    /// Writes the state out. An error ends the process.
    pub fn run(self) -> Result<Flushed, StoreError> {
        self.journal.store().flush_state()?;
        Ok(Flushed { kept: self.kept })
    }
}

/// The proof that a flush is done.
#[must_use = "the engine learns of a flush by its end"]
pub struct Flushed {
    kept: Vec<(GroupId, Index)>,
}
