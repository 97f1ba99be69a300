//! Why the engine as a whole cannot go on.

use crate::fault::Fault;
use crate::id::{GroupId, Index};
use crate::journal::JournalError;
use crate::store::StoreError;

/// Fatal: the driver reports it and ends the process. Nothing is retried, least of all a sync.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A setting cannot work.
    #[error("configuration: {0}")]
    Config(&'static str),
    /// A group was given twice, or without this replica among its voters.
    #[error("{group}: {reason}")]
    Spec {
        /// The group.
        group: GroupId,
        /// What is wrong.
        reason: &'static str,
    },
    /// What is on disk does not fit together: something that was synced is missing or changed.
    #[error("{group} {index} is damaged: {detail}")]
    Damaged {
        /// The group.
        group: GroupId,
        /// Where.
        index: Index,
        /// What does not fit.
        detail: String,
    },
    /// A replayed entry must not be applied and must not be skipped.
    #[error("{group} cannot be replayed")]
    Replay {
        /// The group.
        group: GroupId,
        /// Why.
        #[source]
        source: Fault,
    },
    /// Raft refused; this is a fault of the engine or of what it was given.
    #[error("{group}: raft: {detail}")]
    Raft {
        /// The group.
        group: GroupId,
        /// Raft's own words.
        detail: String,
    },
}

impl LogError {
    /// What the journal found in a group, where the engine cannot go on without it.
    pub(crate) fn of(group: GroupId, error: JournalError) -> Self {
        match error {
            JournalError::Store(error) => Self::Store(error),
            JournalError::Damaged(index, detail) => Self::Damaged { group, index, detail },
            JournalError::Rotten(indices, detail) => {
                let index = indices.first().copied().unwrap_or_default();
                Self::Damaged { group, index, detail }
            }
            JournalError::Compacted => Self::Damaged {
                group,
                index: Index::new(0),
                detail: "an entry is asked for that was cut".into(),
            },
        }
    }
}
