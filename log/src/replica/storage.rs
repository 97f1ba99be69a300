//! What Raft reads of its own log: one group's view of the journal.

use std::sync::Arc;

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use crate::id::{GroupId, Index};
use crate::journal::{Journal, JournalError};
use crate::key::vote::Vote;
use crate::logged::Logged;

/// One group's view of the journal.
pub(crate) struct GroupStorage {
    journal: Arc<Journal>,
    group: GroupId,
    first: RaftState,
}

impl GroupStorage {
    /// `vote` and `voters` are what Raft starts with; it keeps its own copy from then on.
    pub(crate) fn new(journal: Arc<Journal>, group: GroupId, vote: &Vote, voters: Vec<u64>) -> Self {
        let hard = HardState {
            term: vote.term.get(),
            vote: vote.vote.map_or(0, |replica| replica.get()),
            commit: vote.commit.get(),
            ..HardState::default()
        };
        let members = ConfState { voters, ..ConfState::default() };
        Self { journal, group, first: RaftState::new(hard, members) }
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
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let bytes_max = max_size.into().unwrap_or(u64::MAX);
        let range = (Index::new(low), Index::new(high));
        let items = self.journal.entries(self.group, range, bytes_max).map_err(to_raft)?;
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
        // A replica that needs what was cut waits until snapshots exist; it is never sent half a state.
        Err(StorageError::SnapshotTemporarilyUnavailable.into())
    }
}

fn to_raft(error: JournalError) -> raft::Error {
    match error {
        JournalError::Compacted => StorageError::Compacted.into(),
        JournalError::Damaged(index, detail) => {
            StorageError::Other(format!("{index} is damaged: {detail}").into()).into()
        }
        JournalError::Store(error) => StorageError::Other(Box::new(error)).into(),
    }
}
