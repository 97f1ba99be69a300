//! What keeps restarts short and the disk small: state, flushes, cuts.
//!
//! The log is cut only behind state that is flushed, and state is flushed only after the log that it
//! was derived from has been synced, commit indices included.

use std::sync::Arc;

use super::{Asleep, Engine};
use crate::config::Config;
use crate::error::LogError;
use crate::group::StateBatch;
use crate::id::{GroupId, Index, Term};
use crate::journal::{Journal, JournalError};
use crate::key;
use crate::progress::Kept;
use crate::store::{Batch, Range, Space, StoreError};

impl Engine {
    /// Keeps what the node derived from a group's entries up to and including `index`. To be called in
    /// order for everything in `effects.committed`, also where nothing changes: a restart replays
    /// what came after the last flushed `index`. Panics for an unknown group.
    pub fn persist(&mut self, group: GroupId, index: Index, changes: StateBatch) -> Result<(), LogError> {
        self.follow_changes(group, &changes)?;
        let progress = match self.replicas.get_mut(&group) {
            Some(replica) => &mut replica.progress,
            None => self.waking(group).expect("a group of this node that has handed something out"),
        };
        let kept = progress.keep(index);
        self.write_state(&state_batch(group, changes, kept))
    }

    pub(super) fn write_state(&mut self, batch: &Batch) -> Result<(), LogError> {
        self.journal.store().write_state(batch)?;
        self.state_bytes += batch.bytes();
        self.figures.state_bytes += batch.bytes();
        Ok(())
    }

    /// Whether a flush is due: enough state was written since the last one, or a snapshot is in place.
    pub fn wants_flush(&self) -> bool {
        self.state_bytes >= self.config.state_flush_bytes || self.asleep.values().any(Asleep::wants_flush)
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
        let installed = self.asleep.iter().filter(|(_, asleep)| asleep.wants_flush());
        let installed = installed.map(|(group, _)| *group).collect();
        Ok(Flush { journal: Arc::clone(&self.journal), kept, installed })
    }

    /// Last third of a flush, quick: what it covered need not be replayed any more.
    pub fn flush_end(&mut self, flushed: Flushed) {
        for (group, index) in flushed.kept {
            // A group that takes a snapshot meanwhile starts anew with what that one covers.
            if let Some(replica) = self.replicas.get_mut(&group) {
                replica.progress.flushed = replica.progress.flushed.max(index);
            }
        }
        flushed.installed.into_iter().for_each(|group| self.flushed(group));
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
            // What follows a snapshot that is being given stays, or it would be given for nothing.
            if self.lane.outgoing.contains_key(group) {
                continue;
            }
            let Config { keep_entries, keep_bytes, .. } = self.config;
            let Some(cut) = replica.cut_point(keep_entries, keep_bytes) else { continue };
            let first = self.journal.tail(*group).origin.0.next();
            let Some(term) = self.term_to_cut(*group, cut)? else { continue };
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

impl Engine {
    /// The term of an entry behind which the log is to be cut. Where the entry is damaged its neighbours may
    /// tell; else the cut waits, for a peer to repair it or for the log to be cut further on.
    fn term_to_cut(&self, group: GroupId, cut: Index) -> Result<Option<Term>, LogError> {
        match self.journal.term(group, cut) {
            Ok(term) => Ok(Some(term)),
            Err(JournalError::Damaged(..)) if !self.contacts(group).is_empty() => {
                let low = self.journal.term(group, cut.before()).ok();
                let high = self.journal.term(group, cut.next()).ok();
                Ok(low.filter(|_| low == high))
            }
            Err(error) => Err(LogError::of(group, error)),
        }
    }
}

/// The node's changes and the applied index, in one batch.
pub(crate) fn state_batch(group: GroupId, changes: StateBatch, kept: Kept) -> Batch {
    let mut batch = Batch::default();
    for (rest, value) in changes.puts {
        batch.put(Space::State, &key::derived::key(group, &rest), value);
    }
    for rest in changes.deletes {
        batch.delete(Space::State, &key::derived::key(group, &rest));
    }
    batch.put(Space::State, &key::applied::key(group), kept.applied);
    if let Some(members) = kept.members {
        batch.put(Space::State, &key::members::key(group), members);
    }
    batch
}

/// The slow third of a flush; may run on another thread.
#[must_use = "a flush that is begun has to be run and ended"]
pub struct Flush {
    journal: Arc<Journal>,
    kept: Vec<(GroupId, Index)>,
    /// Groups whose snapshot it makes durable.
    installed: Vec<GroupId>,
}

impl Flush {
    /// Writes the state out. An error ends the process.
    pub fn run(self) -> Result<Flushed, StoreError> {
        self.journal.store().flush_state()?;
        Ok(Flushed { kept: self.kept, installed: self.installed })
    }
}

/// The proof that a flush is done.
#[must_use = "the engine learns of a flush by its end"]
pub struct Flushed {
    kept: Vec<(GroupId, Index)>,
    /// Groups whose snapshot it makes durable.
    installed: Vec<GroupId>,
}
