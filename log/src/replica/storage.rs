//! What Raft reads of its own log: one group's view of the journal.

use std::sync::Arc;

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use crate::group::GroupSpec;
use crate::id::{GroupId, Index};
use crate::journal::{Journal, JournalError};
use crate::key::vote::Vote;
use crate::logged::Logged;

/// One group's view of the journal.
pub(crate) struct GroupStorage {
    journal: Arc<Journal>,
    group: GroupId,
    /// Groups without a history keep little, and a node that comes back serves nobody without them.
    paced: bool,
    first: RaftState,
}

impl GroupStorage {
    /// `vote` and `members` are what Raft starts with; it keeps its own copy from then on.
    pub(crate) fn new(journal: Arc<Journal>, spec: &GroupSpec, vote: &Vote, members: ConfState) -> Self {
        let hard = HardState {
            term: vote.term.get(),
            vote: vote.vote.map_or(0, |replica| replica.get()),
            commit: vote.commit.get(),
            ..HardState::default()
        };
        let (group, paced) = (spec.id, spec.history);
        Self { journal, group, paced, first: RaftState::new(hard, members) }
    }
}

impl Storage for GroupStorage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(self.first.clone())
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let bytes_max = max_size.into().unwrap_or(u64::MAX);
        let range = (Index::new(low), Index::new(high));
        // Only what is read for a follower can wait.
        let cold = self.paced && context.can_async() && self.journal.is_cold(self.group, range.0);
        if cold && !self.journal.pace.is_open() {
            self.journal.pace.wait(self.group, context);
            return Err(StorageError::LogTemporarilyUnavailable.into());
        }
        let items = match self.journal.entries(self.group, range, bytes_max) {
            // Raft asks again at the next heartbeat; until then a peer may have given it back.
            Err(JournalError::Damaged(..)) if context.can_async() => {
                return Err(StorageError::LogTemporarilyUnavailable.into());
            }
            other => other.map_err(to_raft)?,
        };
        if cold {
            self.journal.pace.spend(items.iter().map(Logged::bytes).sum());
        }
        Ok(items.iter().map(Logged::to_raft).collect())
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let tail = self.journal.tail(self.group);
        if index > tail.last().get() {
            return Err(StorageError::Unavailable.into());
        }
        drop(tail);
        self.journal.term(self.group, Index::new(index)).map(|term| term.get()).map_err(to_raft)
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.journal.tail(self.group).origin.0.next().get())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.journal.tail(self.group).last().get())
    }

    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        // Only what can be given at the least: what is given goes beside Raft, and is mostly newer.
        let origin = self.journal.tail(self.group).origin;
        let mut snapshot = Snapshot::default();
        let metadata = snapshot.mut_metadata();
        (metadata.index, metadata.term) = (origin.0.get(), origin.1.get());
        metadata.set_conf_state(self.first.conf_state.clone());
        Ok(snapshot)
    }
}

fn to_raft(error: JournalError) -> raft::Error {
    match error {
        JournalError::Compacted => StorageError::Compacted.into(),
        // Raft panics at anything else, and takes this for what it is: nothing that can be had here.
        JournalError::Damaged(..) | JournalError::Rotten(..) => StorageError::Compacted.into(),
        JournalError::Store(error) => StorageError::Other(Box::new(error)).into(),
    }
}
